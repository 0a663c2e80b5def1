"""Blobs in a folder or in a bucket, one object each, named by their digest."""

import asyncio
import errno
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from adapters.blobs.spool import spooled
from application.ports.blobs import Blob
from domain.errors import NotFound, StorageFull, Unavailable

DIGITS = 64
DIGEST = re.compile(r"[0-9a-f]{64}")
STEP = 1 << 20
# No digest, so that nobody takes it for bytes of a package.
TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Blobs(ABC):
    """See the port. `folder` takes bytes until they have their name."""

    objects: LocalStore | S3Store
    folder: Path

    @abstractmethod
    async def keep(self, path: Path, blob: Blob) -> None:
        """Gives a file on disk its name; the file may be gone then."""

    async def put(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Keeps the bytes. What is there already is written anew, so that it counts as new for housekeeping."""
        with told():
            async with spooled(chunks, self.folder) as (path, blob):
                await self.keep(path, blob)
        return blob

    async def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes, some at a time: a slow reader keeps no request open."""
        if (size := await self.size(digest)) is None:
            raise NotFound("The bytes of this package are gone")
        for start in range(offset, size, STEP):
            with told():
                found = await obstore.get_range_async(
                    self.objects, place(digest), start=start, end=min(start + STEP, size)
                )
            yield bytes(found)

    async def size(self, digest: str) -> int | None:
        """How many bytes there are."""
        with told():
            try:
                return (await obstore.head_async(self.objects, place(digest)))["size"]
            except (NotFoundError, FileNotFoundError):
                return None

    async def is_older(self, digest: str, moment: datetime) -> bool:
        """Whether a blob is there, and was last put before a moment."""
        with told():
            try:
                return (await obstore.head_async(self.objects, place(digest)))["last_modified"] < moment
            except (NotFoundError, FileNotFoundError):
                return False

    async def delete(self, digest: str) -> None:
        """Forgets the bytes."""
        with told():
            try:
                await obstore.delete_async(self.objects, place(digest))
            except (NotFoundError, FileNotFoundError):
                return

    async def kept_before(self, moment: datetime) -> AsyncIterator[Blob]:
        """What was last put before a moment."""
        with told():
            async for found in obstore.list(self.objects):
                for one in found:
                    digest = one["path"][-DIGITS:]
                    if one["last_modified"] < moment and DIGEST.fullmatch(digest) and one["path"] == place(digest):
                        yield Blob(digest, one["size"])

    async def check(self) -> None:
        """Lists, writes, reads and deletes; Unavailable says what is refused."""
        with told():
            obstore.list(self.objects, chunk_size=1)
            await obstore.put_async(self.objects, TRIAL, b"rollbook")
            await obstore.get_async(self.objects, TRIAL)
            await obstore.delete_async(self.objects, TRIAL)

    async def forget_unfinished(self, moment: datetime) -> None:
        """Removes what processes that died before a moment left behind while they were putting."""
        await asyncio.to_thread(remove_older, self.folder, moment.timestamp())


class FolderBlobs(Blobs):
    """Blobs in a folder of this machine, which every process must see."""

    @classmethod
    def below(cls, folder: Path) -> "FolderBlobs":
        """The store in a folder, which is made when it is not there."""
        kept = folder / "kept"
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(LocalStore(kept), folder / "incoming")

    async def keep(self, path: Path, blob: Blob) -> None:
        """Moves the file, which is whole, to its place."""
        await asyncio.to_thread(move, path, self.folder.parent / "kept" / place(blob.digest))


class BucketBlobs(Blobs):
    """Blobs in a bucket of an S3-compatible server."""

    async def keep(self, path: Path, blob: Blob) -> None:
        """Sends the file, in parts when it is large; it is there whole or not at all."""
        await obstore.put_async(self.objects, place(blob.digest), path, max_concurrency=2)


def place(digest: str) -> str:
    """Where a blob lies. No folder holds very many."""
    if not DIGEST.fullmatch(digest):
        raise NotFound("There are no bytes of such a digest")
    return f"{digest[:2]}/{digest}"


def move(path: Path, target: Path) -> None:
    """Moves a file, safely on disk when this returns."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.replace(path, target)
    for folder in (target.parent, target.parent.parent):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_older(folder: Path, moment: float) -> None:
    """Removes the files, and the folders of files that came, that nobody has written to since."""
    for path in (*folder.glob("incoming-*"), *folder.glob("import-*")):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < moment:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


@contextmanager
def told() -> Iterator[None]:
    """Turns what goes wrong into refusals that hold no address and no key."""
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise Unavailable("The bytes of packages cannot be reached: they, or the bucket, are not there") from None
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The disk for the bytes of packages is full") from None
        raise Unavailable(f"The bytes of packages cannot be reached ({type(problem).__name__})") from None
    except BaseError as problem:
        raise Unavailable(f"The bytes of packages cannot be reached: {in_words(problem)}") from None


def in_words(problem: BaseError) -> str:
    """What the server of a bucket means; it may have quoted an address."""
    if isinstance(problem, PermissionDeniedError | UnauthenticatedError):
        return "the bucket's keys are refused, or may not read, list, write and delete there"
    return f"the bucket's server does not answer as it should ({type(problem).__name__})"
