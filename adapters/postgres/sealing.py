"""Seals the log: signs the heads of all chains that grew since the last checkpoint, and keeps what was signed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.postgres.pools import Pools
from domain.checkpoint import NOTHING, Checkpoint, Head, digest, paths, root

# Keeps a signature under a checkpoint from being one under anything else.
CONTEXT = b"rollbook checkpoint v1\0"
Sign = Callable[[bytes], str]
LOCK = "select pg_advisory_xact_lock(hashtext('rollbook checkpoints'))"
LAST = "select number, position, text from rollbook.sealed_checkpoints order by number desc limit 1"
# Not more than so many events at once, and whole commits.
# Later than whatever is recorded by now, also by a clock that was set back: so it is known what was sealed by when.
NEXT = """
select store_id::text, epoch,
       to_char(greatest(clock_timestamp(), (
           select recorded_at + interval '1 microsecond' from rollbook.events order by position desc limit 1
       )) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       greatest(rollbook.commit_before(%s),
                coalesce((select commit_position from rollbook.events where position = %s), 0))
  from rollbook.identity
"""
HEADS = """
select distinct on (organisation) organisation, sequence, encode(hash, 'hex'), position
  from rollbook.events where position > %s and position <= %s
 order by organisation, sequence desc
"""
KEEP = "insert into rollbook.sealed_checkpoints values (%s, %s, %s, %s, %s, %s, %s)"
KEEP_HEAD = "insert into rollbook.checkpoint_heads values (%s, %s, %s, %s, %s)"
UNSEALED = """
with last as (select coalesce(max(position), 0) as position, max(sealed_at) as at from rollbook.sealed_checkpoints)
select last.position, rollbook.head() - last.position,
       coalesce(extract(epoch from clock_timestamp() - last.at), 'infinity')::float8,
       coalesce(extract(epoch from clock_timestamp() - (
           select recorded_at from rollbook.events e where e.position = last.position + 1)), 0)::float8
  from last
"""


@dataclass(frozen=True, slots=True)
class Unsealed:
    """Up to which position the log is sealed, how many events stand behind it, how many seconds ago that was sealed,
    and how old the first of those events is."""

    position: int
    events: int
    since: float
    age: float


@dataclass(frozen=True, slots=True)
class Sealer:
    """Any number may seal: one at a time, each behind the other."""

    pools: Pools
    sign: Sign
    public_key: str

    async def unsealed(self) -> Unsealed:
        """What is left to seal."""
        async with self.pools.projector.connection() as connection:
            return Unsealed(*await row(connection, UNSEALED, []))

    async def seal(self, most: int = 1000) -> Checkpoint | None:
        """The next checkpoint, of so many events at most or one larger commit; None when there is none to seal."""
        async with self.pools.projector.connection() as connection, connection.transaction():
            await connection.execute(LOCK)
            number, behind, text = await row(connection, LAST, []) or (0, 0, "")
            store_id, epoch, now, position = await row(connection, NEXT, [behind + most, behind + 1])
            if position <= behind:
                return None
            found = await (await connection.execute(HEADS, [behind, position])).fetchall()
            heads = [Head(*one) for one in found]
            previous, seal = digest(text) if text else NOTHING, root([head.leaf() for head in heads])
            made = Checkpoint(number + 1, previous, store_id, epoch, position, now, len(heads), seal)
            await self.keep(connection, made, heads)
            return made

    async def keep(self, connection: Any, made: Checkpoint, heads: Sequence[Head]) -> None:
        """Keeps it word for word, and each head's way to the root."""
        text, leaves = made.text(), [head.leaf() for head in heads]
        signature = self.sign(CONTEXT + text.encode())
        values = [made.number, made.position, made.epoch, made.sealed_at, text, signature, self.public_key]
        await connection.execute(KEEP, values)
        rows = zip(heads, leaves, paths(leaves), strict=True)
        async with connection.cursor() as cursor:
            told = [(made.number, place, h.organisation, leaf, way) for place, (h, leaf, way) in enumerate(rows)]
            await cursor.executemany(KEEP_HEAD, told)


async def row(connection: Any, query: str, values: Sequence[Any]) -> Any:
    """The first row of a query."""
    return await (await connection.execute(query, values)).fetchone()
