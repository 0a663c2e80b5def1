"""What operators want to know of the store: how far read models are, what is parked, how long the queue has waited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from adapters.postgres.pools import Pools, again_when_cut_off
from adapters.postgres.tables import named
from projections.read_model import STILL, ReadModel, table

PROGRESS = """
select rollbook.head(),
       (select min(coalesce(c.position, -1)) from unnest(%(names)s::text[]) name
          left join rollbook_views.checkpoints c on c.read_model = name),
       (select count(distinct stream_id) from parked_streams where read_model = any(%(names)s))
"""
OLDEST = """
select extract(epoch from clock_timestamp() - e.recorded_at)::float8
  from rollbook.events e
 where e.position = (select min(created_position) from {} where to_position = {} and status = 'scheduled')
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """The end of the log, the position that every read model has reached, and how many streams are parked.

    `projected` is -1 while a read model has not even begun: also of an empty log it cannot be asked then.
    """

    head: int
    projected: int
    parked: int

    @property
    def behind(self) -> int:
        """Events of the log that some read model lacks."""
        return max(0, self.head - max(0, self.projected))


async def progress(pools: Pools, models: Sequence[ReadModel]) -> Progress:
    """How far these read models are; Unavailable when the store does not answer."""
    return Progress(*await one_row(pools, PROGRESS.encode(), {"names": [table(model) for model in models]}))


async def queue_age(pools: Pools, deployments: ReadModel) -> float:
    """Seconds since the oldest deployment that is still scheduled was queued; 0 when none is."""
    query = sql.SQL(OLDEST).format(named(table(deployments)), sql.Literal(STILL))
    try:
        row = await one_row(pools, query, {})
    except psycopg.errors.UndefinedTable:
        return 0.0
    return float(row[0]) if row else 0.0


async def one_row(pools: Pools, query: bytes | sql.Composed, values: dict[str, Any]) -> Any:
    """The row that a query of ours answers, or None."""

    async def read() -> Any:
        async with pools.projector.connection() as connection:
            return await (await connection.execute(query, values)).fetchone()

    return await again_when_cut_off(read)
