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
        position, head = 0, await log.head()
        while events := await log.read_after(position, BATCH):
            for event in events:
                codec.event_class_of(event.topic, event.schema_version)
            async with connection.transaction():
                await folding.write(connection, events)
            position = events[-1].commit_position
            head = max(head, position)
            progress(position, head)
        await tables.index(connection, model, shadow)
        # Without statistics the first questions would be planned for an empty table.
        await connection.execute(sql.SQL("analyze {}").format(tables.named(shadow)))
        await swap(connection, model, shadow, position)
    return position


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


async def swap(connection: AsyncConnection[Any], model: ReadModel, shadow: str, position: int) -> None:
    """Puts the shadow in the place of the table, with its checkpoint, in one transaction."""
    name = table(model)
    async with connection.transaction():
        # The table before its checkpoint, as projectors lock them: so neither waits for the other in a circle.
        await connection.execute(sql.SQL("drop table if exists {}").format(tables.named(name)))
        rename = sql.SQL("alter table {} rename to {}").format(tables.named(shadow), sql.Identifier(name))
        await connection.execute(rename)
        for suffix in (*model.indexes, "pkey"):
            old, new = tables.named(f"{shadow}_{suffix}"), sql.Identifier(f"{name}_{suffix}")
            await connection.execute(sql.SQL("alter index {} rename to {}").format(old, new))
        await connection.execute("delete from parked_streams where read_model = %s", [name])
        await connection.execute("update parked_streams set read_model = %s where read_model = %s", [name, shadow])
        await connection.execute(
            """insert into checkpoints select %s, %s, epoch from rollbook.identity
               on conflict (read_model) do update set position = excluded.position, epoch = excluded.epoch""",
            [name, position],
        )
