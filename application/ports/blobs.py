"""Where large things are kept, each under the digest of its bytes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that are kept: `digest` is their SHA-256 in hex, and their only name."""

    digest: str
    size: int


class BlobStore(Protocol):
    """A store of bytes, as streams. Its operations raise Unavailable when the place of the bytes does not answer."""

    async def put(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Keeps the bytes: all or, when `chunks` raises, nothing. Bytes that are there already are kept once."""
        ...

    def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes from `offset` on; NotFound when there are none of this digest."""
        ...

    async def size(self, digest: str) -> int | None:
        """How many bytes there are, None when there is no such blob."""
        ...

    async def delete(self, digest: str) -> None:
        """Forgets the bytes; nothing happens when they are gone already."""
        ...
