"""How far each export has told of the checkpoints; while one process tells, the others let it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from adapters.checkpoint_exports import CheckpointExport, ExportFailed
from adapters.postgres.checkpoints import Checkpoints
from adapters.postgres.pools import Pools

TOGETHER = 100
# A transaction is open meanwhile.
LONGEST_SECONDS = 10.0
BEGIN = "insert into rollbook.checkpoint_exports values (%s, 0) on conflict do nothing"
TAKE = "select number from rollbook.checkpoint_exports where target = %s for update skip locked"
ADVANCE = "update rollbook.checkpoint_exports set number = %s where target = %s"
LEFT = "select count(*) from rollbook.sealed_checkpoints where number > %s"


@dataclass(slots=True)
class Told:
    """How many checkpoints are left for the next time, and why the first of them did not get there."""

    left: int = 0
    problem: str | None = None


async def tell_in_order(pools: Pools, export: CheckpointExport) -> Told:
    """Tells what was sealed since the last time, one behind the other, until one does not get there or it takes long;
    nothing while another process tells it."""
    async with taken(pools, export.name) as (connection, number):
        if number is None:
            return Told()
        told, until, done = number, monotonic() + LONGEST_SECONDS, Told()
        for one in await Checkpoints(pools).whole(connection, number, TOGETHER):
            try:
                await export.tell(one.line)
            except ExportFailed as problem:
                done.problem = str(problem)
                break
            told = one.number
            if monotonic() > until:
                break
        if told > number:
            await connection.execute(ADVANCE, [told, export.name])
        done.left = (await (await connection.execute(LEFT, [told])).fetchone())[0]
        return done


@asynccontextmanager
async def taken(pools: Pools, target: str) -> AsyncIterator[tuple[Any, int | None]]:
    """Nobody else tells this target meanwhile; None when somebody else does."""
    async with pools.projector.connection() as connection:
        await connection.execute(BEGIN, [target])
        async with connection.transaction():
            found = await (await connection.execute(TAKE, [target])).fetchone()
            yield connection, found[0] if found else None
