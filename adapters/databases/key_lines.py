"""Which keys became which, in lines: each an array of source keys and one of their target keys, very many at a time."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import orjson

from application.ports.databases import Lines

Pairs = Sequence[tuple[str, str]]
PAIRS_OF_A_LINE = 5000


def line_of(pairs: Pairs) -> bytes:
    """Pairs as one line."""
    return orjson.dumps(list(zip(*pairs, strict=True)))


def pairs_of(line: bytes) -> Pairs:
    """The pairs of a line."""
    sources, targets = orjson.loads(line)
    return list(zip(sources, targets, strict=True))


async def in_lines(batches: AsyncGenerator[Pairs, None]) -> AsyncGenerator[Lines, None]:
    """Batches of any size as lines."""
    pending: list[tuple[str, str]] = []
    async with aclosing(batches):
        async for batch in batches:
            pending += batch
            if len(pending) >= PAIRS_OF_A_LINE:
                yield [line_of(pending)]
                pending.clear()
    if pending:
        yield [line_of(pending)]
