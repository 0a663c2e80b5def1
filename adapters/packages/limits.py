"""How much a package that somebody sends may be."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from domain.errors import Invalid, TooLarge

# Small files may be as repetitive as they like.
HARMLESS = 64 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """`file` is the most that is read, `unpacked` the most that may come of it, `ratio` how many times as much."""

    file: int
    unpacked: int
    ratio: int

    def check(self, unpacked: int, packed: int) -> None:
        """Invalid when far more comes out of the file than it is worth."""
        if unpacked > self.unpacked:
            raise Invalid(f"The package is larger than {self.unpacked} bytes when it is unpacked")
        if unpacked > HARMLESS and unpacked > self.ratio * packed:
            raise Invalid(f"The package becomes more than {self.ratio} times larger when it is unpacked")


async def limited(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """The same bytes, up to a limit."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise TooLarge(f"The file is larger than {most} bytes")
        yield chunk
