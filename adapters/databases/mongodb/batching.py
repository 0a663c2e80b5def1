"""Reads a package's documents in batches, as often as needed, and tells how far they have come."""

from collections.abc import AsyncIterator

from adapters.databases.mongodb.extended import Json, key_of, read_line
from adapters.databases.mongodb.fitting import Part
from application.ports.databases import Contents

MOST_BYTES = 8 << 20
Packed = tuple[int, str, Json]
"""The line, the key, the document."""


async def batches(contents: Contents, part: Part, size: int) -> AsyncIterator[list[Packed]]:
    """The documents of a collection, some at a time."""
    held, weight, line = list[Packed](), 0, 0
    async for lines in contents.rows(part.name):
        for text in lines:
            line += 1
            document = read_line(text, part.name)
            held.append((line, key_of(document["_id"]), document))
            weight += len(text)
            if len(held) >= size or weight >= MOST_BYTES:
                yield held
                held, weight = [], 0
    if held:
        yield held
