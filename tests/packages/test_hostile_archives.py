"""Zip files and bundles that mean harm: refused, and nothing stays."""

import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.blobs.store import Blobs
from adapters.packages.archives import LARGEST_DIRECTORY
from adapters.packages.bundle import write_bundle
from adapters.packages.files import write_json, write_zip
from adapters.packages.importing import Importer
from adapters.packages.limits import HARMLESS, Limits
from adapters.packages.signing import Signer, Trust
from domain.errors import Invalid, TooLarge
from tests.packages.conftest import pieces
from tests.packages.made import INFO, packed, whole

Members = Sequence[tuple[str | zipfile.ZipInfo, bytes]]


def zipped(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, text in members:
            archive.writestr(name, text)
    return target.getvalue()


def unzipped(file: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.fixture
async def document(store: Blobs) -> bytes:
    return await whole(write_json(await packed(store), INFO, store))


async def refused(importer: Importer, file: bytes, message: str | None = None) -> None:
    """The file is refused with such a message, and nothing of it stays anywhere."""
    kept = importer.store.folder.parent / "kept"  # type: ignore[attr-defined]
    before = {*kept.rglob("*")}
    with pytest.raises((Invalid, TooLarge), match=message):
        await importer.import_stream(pieces(file))
    assert {*kept.rglob("*")} == before
    assert list(importer.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.json", "no name of a file"),
        ("/etc/evil.json", "no name of a file"),
        ("C:\\evil.json", "no name of a file"),
        ("a/../../evil.json", "no name of a file"),
        ("dir/", "no name of a file"),
        ("a\rb.json", "cannot be shown"),
        ("second.json", "one .json file"),
        ("evil.sh", "one .json file"),
    ],
)
async def test_a_zip_with_another_file_is_refused(
    name: str, message: str, importer: Importer, document: bytes, tmp_path: Path
) -> None:
    await refused(importer, zipped([("customers.json", document), (name, b"{}")]), message)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
async def test_names_that_stand_twice_are_refused(importer: Importer, document: bytes) -> None:
    await refused(importer, zipped([("a.json", document), ("a.json", document)]), "twice")
    await refused(importer, zipped([("a.json", document), ("A.JSON", document)]), "twice")


async def test_links_are_refused(importer: Importer, document: bytes) -> None:
    await refused(importer, zipped([(link("a.json"), b"/etc/passwd")]), "not a plain file")
    await refused(importer, zipped([("a.json", document), (link("metadata.json"), b"/etc/passwd")]), "not a plain file")


async def test_other_compressions_and_encryption_are_refused(importer: Importer, document: bytes) -> None:
    await refused(importer, zipped([("a.json", document)], zipfile.ZIP_BZIP2), "compressed in a way")
    file = bytearray(zipped([("a.json", document)]))
    directory = file.index(b"PK\1\2")
    file[directory + 8] |= 1
    await refused(importer, bytes(file), "encrypted")


async def test_a_bomb_is_refused(importer: Importer, document: bytes) -> None:
    blanks = document[:1] + b" " * (HARMLESS + 1) + document[1:]
    await refused(importer, zipped([("a.json", blanks)]), "50 times larger")


async def test_more_than_may_be_unpacked_is_refused(importer: Importer, document: bytes) -> None:
    small = replace(importer, limits=Limits(1 << 20, len(document), 100))
    assert await small.import_stream(pieces(zipped([("a.json", document)])))
    await refused(
        replace(importer, limits=Limits(1 << 20, len(document) - 1, 100)), zipped([("a.json", document)]), "larger"
    )
    await refused(replace(importer, limits=Limits(100, 1 << 20, 100)), document, "larger than 100 bytes")


async def test_sizes_that_lie_are_refused(importer: Importer, document: bytes) -> None:
    file = bytearray(zipped([("a.json", document)]))
    directory = file.index(b"PK\1\2")
    file[directory + 24 : directory + 28] = struct.pack("<L", 100)
    await refused(importer, bytes(file))


async def test_a_directory_longer_than_any_package_needs_is_refused(importer: Importer) -> None:
    size = LARGEST_DIRECTORY + 1
    members = b"PK\3\4" + bytes(size)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 4, 0)
    await refused(importer, members + end, "too many files")
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, 4)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(members), 1)
    # Readers believe the wide record also where the narrow one beside it says something harmless.
    for said in (b"\xff" * 8, bytes(8)):
        await refused(importer, members + wide + locator + end[:12] + said + bytes(2), "too many files")


async def test_metadata_that_are_no_json_are_refused(importer: Importer, document: bytes) -> None:
    await refused(importer, zipped([("a.json", document), ("metadata.json", b"{")]), "not JSON")


async def test_a_zip_without_metadata_is_let_in(importer: Importer, document: bytes) -> None:
    assert (await importer.import_stream(pieces(zipped([("a.json", document)])))).info == INFO


@pytest.fixture(params=["zip", "bundle"])
async def file(request: pytest.FixtureRequest, store: Blobs, signer: Signer) -> bytes:
    manifest = await packed(store)
    if request.param == "zip":
        return await whole(write_zip(manifest, INFO, store))
    return await whole(write_bundle(manifest, INFO, store, signer))


async def test_a_file_that_ends_too_early_is_refused(file: bytes, importer: Importer) -> None:
    for length in {*range(2, len(file), 131), len(file) - 1, len(file) - 22}:
        await refused(importer, file[:length])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(place=st.floats(0, 1), byte=st.integers(0, 255))
async def test_no_changed_byte_changes_what_is_imported(
    place: float, byte: int, file: bytes, importer: Importer, store: Blobs
) -> None:
    harmed = bytearray(file)
    harmed[int(place * (len(file) - 1))] = byte
    try:
        imported = await importer.import_stream(pieces(bytes(harmed)))
    except Invalid:
        assert list(importer.folder.iterdir()) == []
    else:
        assert imported.manifest == await packed(store)


Change = Callable[[dict[str, Any], dict[str, bytes]], Any]
LIES: dict[str, tuple[Change, str]] = {
    "another format": (lambda m, f: m.update(format="other"), "format"),
    "a later version": (lambda m, f: m["manifest"].update(format_version=2), "version"),
    "no manifest in it": (lambda m, f: m.pop("manifest"), "JSON object"),
    "no package in it": (lambda m, f: m.pop("package"), "package"),
    "fewer rows": (lambda m, f: m["manifest"]["tables"][0]["part"].update(rows=1), "damaged"),
    "fewer bytes": (lambda m, f: m["manifest"]["tables"][0]["part"].update(bytes=1), "damaged"),
    "another sum of the lines": (lambda m, f: m["manifest"]["tables"][0]["part"].update(sha256="0" * 64), "damaged"),
    "another sum of the part": (lambda m, f: m["manifest"]["tables"][0]["part"].update(blob="0" * 64), "damaged"),
    "a digest that leads elsewhere": (lambda m, f: m["manifest"]["tables"][0]["part"].update(blob="../x"), "blob"),
    "the same table twice": (lambda m, f: m["manifest"]["tables"].append(m["manifest"]["tables"][0]), "twice"),
    "one column more": (
        lambda m, f: m["manifest"]["tables"][0]["table"]["columns"].append({"name": "more", "data_type": "text"}),
        "values of its columns",
    ),
    "a key of no column": (lambda m, f: m["manifest"]["tables"][0]["table"].update(primary_key=["x"]), "column 'x'"),
    "no name": (lambda m, f: m["package"].update(name=""), "name"),
    "no type that is known": (lambda m, f: m["package"].update(package_type="other"), "package_type"),
    "another type": (lambda m, f: m["package"].update(package_type="document"), "another type"),
    "a bomb": (lambda m, f: m["manifest"]["tables"][0]["part"].update(bytes=1 << 40), "larger"),
    "a part too few": (lambda m, f: f.pop("parts/00001.ndjson.gz"), "lacks"),
    "a file too many": (lambda m, f: f.update({"evil.sh": b"x"}), "without need"),
    "a part of something else": (lambda m, f: f.update({"parts/00000.ndjson.gz": b"x"}), "damaged"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_bundle_that_lies_is_refused(lie: str, store: Blobs, importer: Importer, signer: Signer) -> None:
    files = unzipped(await whole(write_bundle(await packed(store), INFO, store, signer)))
    manifest = json.loads(files["manifest.json"])
    change, message = LIES[lie]
    change(manifest, files)
    files["manifest.json"] = json.dumps(manifest).encode()
    signed = {"algorithm": "ed25519", "public_key": signer.public, "signature": signer.sign(files["manifest.json"])}
    files["signature.json"] = json.dumps(signed).encode()
    await refused(importer, zipped([*files.items()]), message)


async def test_a_manifest_that_was_changed_after_it_was_signed_is_refused(
    store: Blobs, importer: Importer, signer: Signer
) -> None:
    files = unzipped(await whole(write_bundle(await packed(store), INFO, store, signer)))
    files["manifest.json"] = files["manifest.json"].replace(b"customer-data", b"customer-date")
    await refused(importer, zipped([*files.items()]), "signature")


async def test_a_bundle_of_somebody_unknown_is_unsigned(store: Blobs, importer: Importer, signer: Signer) -> None:
    file = await whole(write_bundle(await packed(store), INFO, store, signer))
    assert (await importer.import_stream(pieces(file))).signed_by == signer.public
    stranger = replace(importer, trust=Trust())
    assert (await stranger.import_stream(pieces(file))).signed_by is None
    await refused(replace(importer, trust=Trust(required=True)), file, "trusted key")
    files = unzipped(file)
    files.pop("signature.json")
    await refused(
        replace(importer, trust=Trust(frozenset({signer.public}), True)), zipped([*files.items()]), "trusted key"
    )
