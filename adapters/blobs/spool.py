"""Takes bytes of unknown length and digest onto disk, before they get their name."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from application.ports.blobs import Blob

TOGETHER = 1 << 20


@asynccontextmanager
async def spooled(chunks: AsyncIterator[bytes], folder: Path) -> AsyncIterator[tuple[Path, Blob]]:
    """The bytes as a file in `folder` that is safely on disk; afterwards the file is gone, unless it was moved."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    with NamedTemporaryFile(dir=folder, prefix="incoming-", delete=False) as file:
        path = Path(file.name)
        try:
            yield path, await filled(file, chunks)
        finally:
            path.unlink(missing_ok=True)


async def filled(file: IO[bytes], chunks: AsyncIterator[bytes]) -> Blob:
    """Writes everything, about a megabyte at a time."""
    digest, size, pending, waiting = hashlib.sha256(), 0, list[bytes](), 0

    def write() -> None:
        for one in pending:
            digest.update(one)
            file.write(one)

    async for chunk in chunks:
        pending.append(chunk)
        waiting += len(chunk)
        if waiting >= TOGETHER:
            await asyncio.to_thread(write)
            size, waiting = size + waiting, 0
            pending.clear()
    write()
    await asyncio.to_thread(sync, file)
    return Blob(digest.hexdigest(), size + waiting)


def sync(file: IO[bytes]) -> None:
    """Returns when the file is on disk."""
    file.flush()
    os.fsync(file.fileno())
