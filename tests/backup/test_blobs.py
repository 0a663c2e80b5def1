"""What packages hold, which keys became which, and what jobs wrote, comes back with the rows that name it."""

import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from adapters.blobs.choosing import file_blobs_of
from adapters.packages.mappings import BlobMappings
from adapters.postgres.backup_manifest import ADDED
from adapters.settings import Settings
from application.ports.blobs import Blob
from entrypoints import backups
from tests.backup.conftest import MakePlace
from tests.backup.ground import Place, archive_of, files_of, manifest_of
from tests.packages.test_mappings import ODD, remembering

HELD = b"what a package holds" * 1000
SAID = b"what a job wrote"


async def kept(settings: Settings) -> dict[str, Blob]:
    """A blob in each store."""
    stores = backups.stores(settings)
    return {"packages": await stores["packages"].put(once(HELD)), "job-logs": await stores["job-logs"].put(once(SAID))}


async def once(content: bytes) -> AsyncIterator[bytes]:
    """All of it in one piece."""
    yield content


async def read(settings: Settings, store: str, blob: Blob) -> bytes | None:
    """What is kept under a digest."""
    blobs = {str(name): one for name, one in backups.stores(settings).items()}[store]
    if await blobs.size(blob.digest) is None:
        return None
    return b"".join([chunk async for chunk in blobs.read(blob.digest)])


def mappings_of(place: Place) -> BlobMappings:
    """The mappings of deployments, beside what packages hold."""
    return BlobMappings(backups.stores(place.settings())["packages"])


async def test_a_restore_on_another_machine_brings_every_blob(
    home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    blobs = await kept(home.settings())
    mapping = await mappings_of(home).keep(remembering(odd=ODD), "d", ["odd"])
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    place = elsewhere()
    await place.restore(taken.path)
    found = {(part.store, part.digest) for part in taken.manifest.blobs}
    assert len(found) == 4 and found > {(store, blob.digest) for store, blob in blobs.items()}
    assert [pair async for batch in mappings_of(place).pairs(mapping, "odd") for pair in batch] == ODD
    assert await read(place.settings(), "packages", blobs["packages"]) == HELD
    assert await read(place.settings(), "job-logs", blobs["job-logs"]) == SAID


async def test_blobs_stay_out_where_their_store_is_copied_apart(home: Place, tmp_path: Path) -> None:
    await kept(home.settings())
    assert (await home.take(tmp_path / "b.zip", with_blobs=False)).manifest.blobs == ()


async def test_files_that_jobs_made_stay_out_as_they_can_be_made_again(home: Place, tmp_path: Path) -> None:
    settings = home.settings()
    await file_blobs_of(settings, settings.data_dir).put(once(HELD))
    assert (await home.take(tmp_path / "b.zip")).manifest.blobs == ()


async def test_lines_that_a_job_writes_after_a_restore_stand_behind_those_before(
    home: Place, elsewhere: MakePlace, tmp_path: Path
) -> None:
    home.change(line_of("first"))
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    place = elsewhere()
    await place.restore(taken.path)
    place.change(line_of("second"))
    assert place.rows("select line from rollbook.job_logs order by number") == [("first",), ("second",)]


def line_of(text: str) -> str:
    """A line of a log is written."""
    values = f"('{UUID(int=1)}', 'acme', 1, '{text}')"
    return f"insert into rollbook.job_logs (job_id, organisation, attempt, line) values {values}"


@pytest.mark.parametrize("version", [1, 2])
async def test_a_backup_of_an_older_format_is_restored(
    home: Place, elsewhere: MakePlace, tmp_path: Path, version: int
) -> None:
    taken = await home.take(tmp_path / "b.zip", with_key=True)
    files = files_of(taken.path)
    manifest = manifest_of(files) | {"format_version": version}
    added = {name for later, names in ADDED.items() if later > version for name in names}
    manifest["parts"] = [part for part in manifest["parts"] if part["table"] not in added]
    old = {name: content for name, content in files.items() if name.removesuffix(".copy") not in added}
    archive = archive_of(old | {"manifest.json": json.dumps(manifest).encode()}, tmp_path / "old.zip")
    place = elsewhere()
    await place.restore(archive)
    assert place.truth() == home.truth()


async def test_blobs_are_copied_as_they_are(home: Place, tmp_path: Path) -> None:
    await kept(home.settings())
    taken = await home.take(tmp_path / "b.zip")
    with zipfile.ZipFile(taken.path) as archive:
        sizes = {info.filename: info.compress_size for info in archive.infolist()}
    assert {sizes[part.file] for part in taken.manifest.blobs} == {len(HELD), len(SAID)}
