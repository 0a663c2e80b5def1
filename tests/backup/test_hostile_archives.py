"""An archive that is cut, changed or made up is refused in one line, and nothing has changed."""

import hashlib
import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.backup_archive import BackupRefused
from adapters.postgres.backup_manifest import Manifest
from adapters.postgres.backup_restore import Wish
from entrypoints import backups
from tests.backup.conftest import MakePlace
from tests.backup.ground import archive_of, files_of, manifest_of, quiet

Files = dict[str, bytes]
EVENTS = "events_000000.copy"
HEADER = 19


@pytest.fixture
def good(taken: Path, tmp_path: Path) -> Path:
    """A copy of the backup that the test may spoil."""
    return Path(shutil.copy(taken, tmp_path / "good.zip"))


def refused(path: Path) -> str:
    """The one line that says why a file is no backup."""
    with pytest.raises(BackupRefused) as refusal:
        backups.check(path, quiet)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


async def test_what_is_refused_changes_nothing(good: Path, elsewhere: MakePlace) -> None:
    place = elsewhere()
    await place.restore(good)
    before = place.everything()
    with good.open("r+b") as file:
        file.truncate(good.stat().st_size - 100)
    with pytest.raises(BackupRefused):
        await place.restore(good, Wish(replace=True))
    assert place.everything() == before


async def test_what_only_the_database_finds_wrong_changes_nothing(
    taken: Path, elsewhere: MakePlace, tmp_path: Path
) -> None:
    place = elsewhere()
    await place.restore(taken)
    before = place.everything()
    files = files_of(taken)
    people = files["people.copy"]
    files["people.copy"] = people[:-2] + people[HEADER:]  # Everybody twice.
    doubled = archive_of(sealed_again(files, "people.copy", rows=2), tmp_path / "doubled.zip")
    with pytest.raises(BackupRefused, match=r"^The database refuses what is in the backup: duplicate key value"):
        await place.restore(doubled, Wish(replace=True))
    files = files_of(taken)
    files["leases.copy"] = people[:HEADER] + struct.pack(">h", 4) + 4 * struct.pack(">i1s", 1, b"x") + b"\xff\xff"
    garbage = archive_of(sealed_again(files, "leases.copy", rows=1), tmp_path / "garbage.zip")
    with pytest.raises(BackupRefused, match=r"^The database refuses what is in the backup: "):
        await place.restore(garbage, Wish(replace=True))
    assert place.everything() == before


def test_a_file_cut_anywhere_is_refused(good: Path, tmp_path: Path) -> None:
    whole = good.read_bytes()
    for size in {0, 1, 30, 100, len(whole) // 2, len(whole) - 23, len(whole) - 22, len(whole) - 1}:
        cut = tmp_path / "cut.zip"
        cut.write_bytes(whole[:size])
        assert refused(cut)


def test_a_changed_byte_is_refused_or_means_nothing(good: Path, tmp_path: Path) -> None:
    """Some bytes of a zip are for other systems, such as its times; then what is read is what was written."""
    whole, manifest = good.read_bytes(), backups.check(good, quiet)
    chance = random.Random(4711)
    changed = tmp_path / "changed.zip"
    outcomes = []
    for _ in range(400):
        content = bytearray(whole)
        content[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        changed.write_bytes(content)
        outcomes.append(outcome(changed))
    read = [found for found in outcomes if not isinstance(found, str)]
    assert all(found == manifest for found in read)
    assert len(read) < len(outcomes) / 4


def outcome(path: Path) -> Manifest | str:
    """What a backup holds, or the one line that refuses it; any other error is a failure."""
    try:
        return backups.check(path, quiet)
    except BackupRefused as refusal:
        return str(refusal)


def sealed_again(files: Files, name: str, rows: int | None = None) -> Files:
    """The files with a manifest that vouches for what one of them has become."""
    manifest = manifest_of(files)
    for part in manifest["parts"]:
        if part["file"] == name:
            part |= {"bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
            part |= {} if rows is None else {"rows": rows}
            manifest["last_position"] = part["rows"] if name == EVENTS else manifest["last_position"]
    return files | {"manifest.json": json.dumps(manifest).encode()}


def told(files: Files, **facts: Any) -> Files:
    """The files with a manifest that tells something else."""
    return files | {"manifest.json": json.dumps(manifest_of(files) | facts).encode()}


def without_last_event(files: Files) -> Files:
    rows = list(raw_rows(files[EVENTS]))
    kept = files[EVENTS][:HEADER] + b"".join(rows[:-1]) + b"\xff\xff"
    return sealed_again({**files, EVENTS: kept}, EVENTS, len(rows) - 1)


def without_first_event(files: Files) -> Files:
    rows = list(raw_rows(files[EVENTS]))
    kept = files[EVENTS][:HEADER] + b"".join(rows[1:]) + b"\xff\xff"
    return sealed_again({**files, EVENTS: kept}, EVENTS, len(rows) - 1)


def turned_round(files: Files) -> Files:
    rows = list(raw_rows(files[EVENTS]))
    kept = files[EVENTS][:HEADER] + b"".join([rows[1], rows[0], *rows[2:]]) + b"\xff\xff"
    return sealed_again({**files, EVENTS: kept}, EVENTS)


def raw_rows(content: bytes) -> list[bytes]:
    """The rows of a part, as they stand in it."""
    found, at = [], HEADER
    while content[at : at + 2] != b"\xff\xff":
        start, at = at, at + 2
        for _ in range(struct.unpack(">h", content[start:at])[0]):
            at += 4 + struct.unpack(">i", content[at : at + 4])[0]
        found.append(content[start:at])
    return found


def replaced(old: bytes, new: bytes) -> Callable[[Files], Files]:
    """Something that an event says, said otherwise, the manifest sealed again."""

    def change(files: Files) -> Files:
        assert old in files[EVENTS] and len(old) == len(new)
        return sealed_again({**files, EVENTS: files[EVENTS].replace(old, new, 1)}, EVENTS)

    return change


def another_size(size: bytes) -> Callable[[Files], Files]:
    """The first value of the first event has another size."""

    def change(files: Files) -> Files:
        content = files[EVENTS]
        return sealed_again({**files, EVENTS: content[: HEADER + 2] + size + content[HEADER + 6 :]}, EVENTS)

    return change


BLOB = {"store": "packages", "digest": hashlib.sha256(b"held").hexdigest(), "size": 4}
BLOB_FILE = f"blobs/packages/{BLOB['digest']}"

HOSTILE: dict[str, tuple[Callable[[Files], Files], str]] = {
    "no manifest": (lambda f: {n: c for n, c in f.items() if n != "manifest.json"}, "it has no manifest"),
    "a manifest of something else": (lambda f: f | {"manifest.json": b"{}"}, "damaged, or not Rollbook's"),
    "a manifest that is no JSON": (lambda f: f | {"manifest.json": b"\xff"}, "damaged, or not Rollbook's"),
    "a manifest that is a list": (lambda f: f | {"manifest.json": b"[]"}, "damaged, or not Rollbook's"),
    "a deep manifest": (lambda f: f | {"manifest.json": b"[" * 100_000}, "damaged, or not Rollbook's"),
    "a huge manifest": (lambda f: f | {"manifest.json": b" " * 2**21}, "damaged, or not Rollbook's"),
    "a newer format": (lambda f: told(f, format_version=4), "A newer Rollbook wrote this backup (format 4)"),
    "a part that is missing": (lambda f: {n: c for n, c in f.items() if n != EVENTS}, "not those of its manifest"),
    "a file too many": (lambda f: f | {"extra": b""}, "not those of its manifest"),
    "a file that leaves the folder": (lambda f: f | {"../../etc/passwd": b""}, "not those of its manifest"),
    "a table too few": (lambda f: told(f, parts=manifest_of(f)["parts"][:-1]), "damaged, or not Rollbook's"),
    "a table of ours that is no part": (
        lambda f: told(f, parts=[{**p, "table": "identity"} for p in manifest_of(f)["parts"]]),
        "damaged, or not Rollbook's",
    ),
    "an epoch without an end": (lambda f: told(f, epoch=2**31 - 2), "damaged, or not Rollbook's"),
    "a blob without a digest": (lambda f: told(f, blobs=["00"]), "damaged, or not Rollbook's"),
    "a blob of format 1": (lambda f: told(f, format_version=1, blobs=[BLOB]), "damaged, or not Rollbook's"),
    "a blob that is missing": (lambda f: told(f, blobs=[BLOB]), "not those of its manifest"),
    "a blob that nobody names": (lambda f: f | {BLOB_FILE: b"held"}, "not those of its manifest"),
    "a blob that is there twice": (lambda f: told(f, blobs=[BLOB, BLOB]), "damaged, or not Rollbook's"),
    "a blob of another store": (lambda f: told(f, blobs=[{**BLOB, "store": "../x"}]), "damaged, or not Rollbook's"),
    "a blob that leaves the folder": (lambda f: told(f, blobs=[{**BLOB, "digest": "../x"}]), "damaged, or not"),
    "a blob of another content": (lambda f: told(f, blobs=[BLOB]) | {BLOB_FILE: b"hale"}, "its checksum differs"),
    "fewer events than positions": (lambda f: told(f, last_position=10**6), "damaged, or not Rollbook's"),
    "another content": (lambda f: f | {EVENTS: f[EVENTS] + b" "}, "its checksum differs"),
    "not the format of COPY": (lambda f: sealed_again(f | {EVENTS: b"PGCOPX"}, EVENTS), "not in the format of COPY"),
    "rows of another shape": (
        lambda f: sealed_again(f | {EVENTS: f[EVENTS][:HEADER] + b"\0\1\xff\xff\xff\xff\xff\xff"}, EVENTS),
        "rows of another shape",
    ),
    "a value that never ends": (another_size(b"\x7f\xff\xff\xff"), "a value that is cut or too large"),
    "a value of negative size": (another_size(b"\xff\xff\xff\xfe"), "a value that is cut or too large"),
    "a count that is wrong": (lambda f: sealed_again(f, "commands.copy", rows=10**9), "and should have 1000000000"),
    "a changed event": (replaced(b'"version":"3"', b'"version":"4"'), "was changed: its hash differs"),
    "a changed column": (replaced(b"deployment.scheduled", b"deployment.schedulex"), "than its sealed envelope"),
    "a commit cut in two": (without_last_event, "ends inside a commit"),
    "a log without its beginning": (without_first_event, "is out of place"),
    "events that changed places": (turned_round, "is out of place"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_an_archive_that_was_tampered_with_is_refused(how: str, taken: Path, tmp_path: Path) -> None:
    change, why = HOSTILE[how]
    assert why in refused(archive_of(change(files_of(taken)), tmp_path / "hostile.zip"))


KEYS = {
    "that is none": (b"???", "The master key in the backup is damaged"),
    "of another store": (b"b3RoZXIga2V5IG90aGVyIGtleSBvdGhlciBrZXkgb3Q=", "not the one that its manifest names"),
}


@pytest.mark.parametrize("which", KEYS)
async def test_a_master_key_that_was_tampered_with_is_refused(
    which: str, taken: Path, elsewhere: MakePlace, tmp_path: Path
) -> None:
    key, why = KEYS[which]
    place = elsewhere()
    before = place.everything()
    path = archive_of(files_of(taken) | {"master.key": key}, tmp_path / "hostile.zip")
    with pytest.raises(BackupRefused, match=why):
        await place.restore(path)
    assert place.everything() == before
    assert not (place.data_dir / "secrets" / "master.key").exists()


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.zip"
    path.write_text("no zip")
    assert refused(path) == f"{path} is no whole backup: File is not a zip file"
    assert refused(tmp_path) == f"{tmp_path} cannot be read: Is a directory"
    assert refused(tmp_path / "nothing") == f"{tmp_path / 'nothing'} cannot be read: No such file or directory"


def test_a_zip_of_another_kind_is_refused(taken: Path, tmp_path: Path) -> None:
    for number, kind in enumerate((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED)):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, content in files_of(taken).items():
                archive.writestr(name, content)
        assert "compressed or encrypted in a way that no backup is" in refused(path)


def test_a_file_that_says_twice_what_it_is_is_refused(taken: Path, tmp_path: Path) -> None:
    path = archive_of(files_of(taken), tmp_path / "twice.zip")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("manifest.json", b"{}")
    assert refused(path)
