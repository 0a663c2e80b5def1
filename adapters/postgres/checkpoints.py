"""Checkpoints as others get them: all heads for whoever runs Rollbook, and for an organisation its own."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.postgres.pools import Pools, again_when_cut_off
from domain.checkpoint import exported

# Row security shows a reader the heads of its organisation only.
SHOWN = """
select number, text, signature, public_key, coalesce((
           select jsonb_agg(jsonb_build_object('leaf', leaf, 'path', path) order by place)
             from rollbook.checkpoint_heads h where h.number = c.number), '[]')
  from rollbook.sealed_checkpoints c
"""
FORWARD = SHOWN + " where number > %s and (%s::timestamptz is null or sealed_at <= %s) order by number limit %s"
BACKWARD = SHOWN + " where number > %s and (%s::timestamptz is null or sealed_at <= %s) order by number desc limit %s"
# Whoever seals meanwhile has read the time already, and nobody can see yet what it seals.
NOBODY_SEALS = "select pg_advisory_xact_lock_shared(hashtext('rollbook checkpoints'))"


@dataclass(frozen=True, slots=True)
class Exported:
    """A checkpoint: its number, and one line of JSON that the verifier reads."""

    number: int
    line: str


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """What was sealed, in the order in which it was.

    One question at a time waits for who seals: else all connections could, and nobody else would be answered.
    """

    pools: Pools
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def whole(self, connection: Any, after: int, limit: int) -> list[Exported]:
        """With the heads of all organisations."""
        return lines(await (await connection.execute(FORWARD, [after, None, None, limit])).fetchall())

    async def of(
        self, organisation: str, after: int, limit: int, latest: bool = False, by: datetime | None = None
    ) -> list[Exported]:
        """With the heads of one organisation, and none of others; the latest ones instead of the first.

        `by` is when something was recorded: what was sealed by then is the same for ever.
        """

        async def read() -> list[Exported]:
            if by is not None:
                await self.sealed(organisation)
            async with self.pools.reading(organisation) as connection:
                query = BACKWARD if latest else FORWARD
                return lines(await (await connection.execute(query, [after, by, by, limit])).fetchall())

        found = await again_when_cut_off(read)
        return found[::-1] if latest else found

    async def sealed(self, organisation: str) -> None:
        """Waits for who seals."""
        async with self.turn, self.pools.reading(organisation) as connection:
            await connection.execute(NOBODY_SEALS)


def lines(rows: list[Any]) -> list[Exported]:
    """Rows as they are exported."""
    return [Exported(number, exported(*facts)) for number, *facts in rows]
