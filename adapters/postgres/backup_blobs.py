"""The blobs in a backup: what events, and the logs of jobs, name by their digests."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from adapters.blobs.store import Blobs
from adapters.postgres.backup_archive import BUFFER, Archive, BackupRefused
from adapters.postgres.backup_manifest import BlobPart, StoreName
from application.ports.blobs import Blob

Stores = Mapping[StoreName, Blobs]
Progress = Callable[[int, int], None]


async def copy_out(zip_file: ZipFile, stores: Stores, progress: Progress) -> tuple[BlobPart, ...]:
    """Copies all that is kept now. Taken after the rows, it has whatever they name; progress is told in blobs."""
    found: list[BlobPart] = []
    for name, store in stores.items():
        async for blob in store.kept_before(datetime.now(UTC)):
            # Housekeeping may have forgotten it meanwhile, as nothing names it.
            if await store.size(blob.digest) is not None:
                found.append(await copy_one(zip_file, name, store, blob))
                progress(len(found), len(found))
    return tuple(found)


async def copy_one(zip_file: ZipFile, name: StoreName, store: Blobs, blob: Blob) -> BlobPart:
    """Adds one blob, as it is: most are compressed already."""
    part = BlobPart(store=name, digest=blob.digest, size=blob.size)
    entry = ZipInfo(part.file)
    entry.compress_type = ZIP_STORED
    with zip_file.open(entry, "w", force_zip64=True) as stream:
        async for chunk in store.read(blob.digest):
            stream.write(chunk)
    return part


def verify(archive: Archive, progress: Progress) -> None:
    """Reads every blob; BackupRefused names one that is not what its digest says."""
    parts = archive.manifest.blobs
    for number, part in enumerate(parts, 1):
        digest, size = hashlib.sha256(), 0
        with archive.zip_file.open(part.file) as stream:
            while block := stream.read(BUFFER):
                digest.update(block)
                size += len(block)
        if (digest.hexdigest(), size) != (part.digest, part.size):
            raise BackupRefused(f"{part.file} is damaged: its checksum differs")
        progress(number, len(parts))


async def copy_in(archive: Archive, stores: Stores, progress: Progress) -> None:
    """Keeps every blob of a verified backup. Nothing names them before the rows are there, so that a restore which
    fails afterwards leaves nothing but what housekeeping forgets."""
    parts = archive.manifest.blobs
    for number, part in enumerate(parts, 1):
        if (await stores[part.store].put(chunks(archive, part))).digest != part.digest:
            raise BackupRefused(f"{part.file} has changed while it was read")
        progress(number, len(parts))


async def chunks(archive: Archive, part: BlobPart) -> AsyncIterator[bytes]:
    """The bytes of one blob."""
    with archive.zip_file.open(part.file) as stream:
        while block := stream.read(BUFFER):
            yield block
