"""Builds a read model anew beside the one that serves, and swaps them; readers never see half of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.postgres import codec, tables
from adapters.postgres.folding import Folding
from adapters.postgres.leadership import LEADERS
from adapters.postgres.log import PostgresLog
from adapters.postgres.pools import Pools
from domain.aggregates import TOPICS
from domain.errors import Clash
from projections.read_model import ReadModel, table

BATCH = 5000
Progress = Callable[[int, int], None]


async def rebuild(pools: Pools, log: PostgresLog, model: ReadModel, progress: Progress) -> int:
    """Folds the whole log into a shadow table with the projector's own code, then swaps; answers how many events.

    `progress` is told how far it is, and how far it must go. A projector that runs notices that its checkpoint moved
    and goes on from the new one. Memory does not grow with the log. UnknownEvent when a newer release wrote some of it.
    """
    shadow = f"{table(model)}_shadow"
    async with pools.projector.connection() as connection, alone(connection, shadow):
        await connection.execute(sql.SQL("drop table if exists {}").format(tables.named(shadow)))
        await connection.execute("delete from parked_streams where read_model = %s", [shadow])
        await tables.create(connection, model, shadow)
        folding = Folding(model, shadow)
        head = await log.head()
        while folding.position < head:
            await fold_on(connection, log, folding, head)
            progress(folding.position, head)
        await tables.index(connection, model, shadow)
        # Without statistics the first questions would be planned for an empty table.
        await connection.execute(sql.SQL("analyze {}").format(tables.named(shadow)))
        head = await log.head()
        while folding.position < head:
            await fold_on(connection, log, folding, head)
        await swap(connection, log, folding)
    return folding.position


async def fold_on(connection: AsyncConnection[Any], log: PostgresLog, folding: Folding, until: int) -> None:
    """Folds the next events that concern the read model, up to a position at which a commit ends.

    Those of aggregates that nobody here knows are read too: a newer release wrote them.
    """
    others = TOPICS.difference(folding.model.aggregates)
    # Not shared: other followers want what is new, and would wait for this.
    events = await log.fetch_some(folding.position, until, BATCH, sorted(others))
    for event in events:
        codec.event_class_of(event.topic, event.schema_version)
    async with connection.transaction():
        await folding.write(connection, events)
    folding.position = events[-1].commit_position if len(events) >= BATCH else until


@asynccontextmanager
async def alone(connection: AsyncConnection[Any], shadow: str) -> AsyncIterator[None]:
    """Clash while another process fills the same shadow."""
    lock = [LEADERS, shadow]
    taken = await (await connection.execute("select pg_try_advisory_lock(%s, hashtext(%s))", lock)).fetchone()
    if taken != (True,):
        raise Clash(f"{shadow.removesuffix('_shadow')} is being rebuilt already")
    try:
        yield
    finally:
        if not connection.broken:
            await connection.execute("select pg_advisory_unlock(%s, hashtext(%s))", lock)


async def swap(connection: AsyncConnection[Any], log: PostgresLog, folding: Folding) -> None:
    """Puts the shadow in the place of the table, with its checkpoint, in one transaction.

    Nothing that was visible vanishes: it folds on first to where the table is.
    """
    model, name, shadow = folding.model, table(folding.model), folding.name
    async with connection.transaction():
        # The table before its checkpoint, as projectors lock them: so neither waits for the other in a circle.
        await connection.execute(sql.SQL("drop table if exists {}").format(tables.named(name)))
        shown = await checkpoint(connection, name)
        while folding.position < shown:
            await fold_on(connection, log, folding, shown)
        rename = sql.SQL("alter table {} rename to {}").format(tables.named(shadow), sql.Identifier(name))
        await connection.execute(rename)
        for suffix in (*model.indexes, "pkey"):
            old, new = tables.named(f"{shadow}_{suffix}"), sql.Identifier(f"{name}_{suffix}")
            await connection.execute(sql.SQL("alter index {} rename to {}").format(old, new))
        await connection.execute("delete from parked_streams where read_model = %s", [name])
        await connection.execute("update parked_streams set read_model = %s where read_model = %s", [name, shadow])
        await connection.execute(
            """insert into rollbook_views.checkpoints select %s, %s, epoch from rollbook.identity
               on conflict (read_model) do update set position = excluded.position, epoch = excluded.epoch""",
            [name, folding.position],
        )


async def checkpoint(connection: AsyncConnection[Any], name: str) -> int:
    """How far a table is, which stays so until this transaction ends; 0 without one."""
    query = """select position from rollbook_views.checkpoints join rollbook.identity using (epoch)
                where read_model = %s for update of checkpoints"""
    row = await (await connection.execute(query, [name])).fetchone()
    return int(row[0]) if row else 0
