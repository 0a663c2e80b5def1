"""How many rows a selection holds and how large they are, found by reading them."""

from collections.abc import AsyncIterator, Mapping

from application.ports.databases import Found, Lines

SAMPLE_ROWS = 5


async def measured(batches: AsyncIterator[Lines], reasons: Mapping[str, int]) -> Found:
    """Rows, with the first of them; lines count with their ends."""
    rows = size = 0
    sample: list[bytes] = []
    async for lines in batches:
        rows += len(lines)
        size += sum(map(len, lines)) + len(lines)
        sample += lines[: SAMPLE_ROWS - len(sample)]
    return Found(rows, size, reasons, sample)
