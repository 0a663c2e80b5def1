"""Seals the log: signs the heads of all chains that grew since the last checkpoint, and keeps what was signed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.postgres.pools import Pools
from domain.checkpoint import NOTHING, Checkpoint, Head, digest, root

# Keeps a signature under a checkpoint from being one under anything else.
CONTEXT = b"rollbook checkpoint v1\0"
Sign = Callable[[bytes], str]
LOCK = "select pg_advisory_xact_lock(hashtext('rollbook checkpoints'))"
LAST = "select number, position, text from rollbook.checkpoints order by number desc limit 1"
NOW = """
select store_id::text, epoch, rollbook.head(), to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  from rollbook.identity
"""
HEADS = """
select distinct on (organisation) organisation, sequence, encode(hash, 'hex'), position
  from rollbook.events where position > %s and position <= %s
 order by organisation, sequence desc
"""
KEEP = "insert into rollbook.checkpoints values (%s, %s, %s, %s, %s, %s, %s)"
KEEP_HEADS = """
insert into rollbook.checkpoint_heads
select %s, place - 1, organisation, leaf
  from unnest(%s::text[], %s::text[]) with ordinality h (organisation, leaf, place)
"""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A checkpoint as it was signed, with the heads that it seals."""

    checkpoint: Checkpoint
    signature: str
    public_key: str
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class Sealer:
    """Any number may seal: one at a time, each behind the other."""

    pools: Pools
    sign: Sign
    public_key: str

    async def seal(self) -> Sealed | None:
        """The next checkpoint; None when nothing was recorded since the last one."""
        async with self.pools.projector.connection() as connection, connection.transaction():
            await connection.execute(LOCK)
            last = await (await connection.execute(LAST)).fetchone()
            store_id, epoch, position, now = await self.row(connection, NOW)
            number, behind, text = last or (0, 0, "")
            if position <= behind:
                return None
            found = await (await connection.execute(HEADS, [behind, position])).fetchall()
            heads = tuple(Head(*row) for row in found)
            previous = digest(text) if last else NOTHING
            leaves = [head.leaf() for head in heads]
            made = Checkpoint(number + 1, previous, store_id, epoch, position, now, len(heads), root(leaves))
            sealed = Sealed(made, self.sign(CONTEXT + made.text().encode()), self.public_key, heads)
            await self.keep(connection, sealed, leaves)
            return sealed

    async def keep(self, connection: Any, sealed: Sealed, leaves: Sequence[str]) -> None:
        """Keeps it word for word."""
        made = sealed.checkpoint
        values = [made.number, made.position, made.epoch, made.sealed_at, made.text()]
        await connection.execute(KEEP, [*values, sealed.signature, sealed.public_key])
        await connection.execute(KEEP_HEADS, [made.number, [head.organisation for head in sealed.heads], list(leaves)])

    async def row(self, connection: Any, query: str) -> Any:
        """The one row of a query."""
        return await (await connection.execute(query)).fetchone()
