"""Follows the log and keeps read models: batches folded in memory, one write and one checkpoint a transaction."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection, sql
from psycopg_pool import PoolTimeout

from adapters.postgres import codec, tables
from adapters.postgres.folding import Folding
from adapters.postgres.log import PostgresLog
from adapters.postgres.pools import Pools
from adapters.tracing import linked_span
from domain.errors import RollbookError
from domain.recorded import RecordedEvent
from projections.read_model import ReadModel, table

log = structlog.get_logger()
LEADER_LOCK = 7240564


class CheckpointMoved(Exception):
    """Another leader has written: what was folded here is void."""


class Projector:
    """Keeps all read models at one common position. Several may run; one leads, the others wait."""

    def __init__(self, pools: Pools, events: PostgresLog, models: Sequence[ReadModel], batch: int = 1000) -> None:
        self.pools = pools
        self.log = events
        self.models = models
        self.batch = batch
        self.position = 0
        self.epoch = 0
        self.leading = False
        self.on_progress: list[Callable[[int], None]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Projects until told to stop; what goes wrong is tried again after a pause."""
        pause = 0.05
        while not stop.is_set():
            started = self.position
            try:
                async with self.pools.projector.connection() as connection:
                    await self.lead(connection, stop)
            except (psycopg.Error, PoolTimeout, CheckpointMoved, RollbookError, codec.UnknownEvent) as problem:
                self.leading = False
                log.warning("projector.interrupted", problem=str(problem)[:300], again_in=pause)
                await pause_unless(stop, pause)
                pause = min(pause * 2, 1.0) if self.position == started else 0.05

    async def lead(self, connection: AsyncConnection[Any], stop: asyncio.Event) -> None:
        """Waits to become the leader, then follows the log on this connection."""
        lock = sql.SQL("select pg_try_advisory_lock({})").format(sql.Literal(LEADER_LOCK))
        while not stop.is_set():
            row = await (await connection.execute(lock)).fetchone()
            if row and row[0]:
                break
            await pause_unless(stop, 0.5)
        else:
            return
        try:
            await self.follow(connection, stop)
        finally:
            self.leading = False
            if not connection.broken:
                await connection.execute("select pg_advisory_unlock_all()")

    async def follow(self, connection: AsyncConnection[Any], stop: asyncio.Event) -> None:
        """Folds batch after batch."""
        # What was heard of another epoch's end says nothing of this one.
        self.log.seen = 0
        _, self.epoch = await self.log.identity()
        foldings = await prepare(connection, self.models, self.epoch)
        self.position = min(f.position for f in foldings)
        self.leading = True
        self.progress()
        while not stop.is_set():
            behind, ceiling = hindmost(foldings)
            events = await self.log.read_after(self.position, self.batch)
            if ceiling is not None:
                events = [e for e in events if e.commit_position <= ceiling]
            if events:
                await self.project(connection, behind, events)
                self.position = min(f.position for f in foldings)
                self.progress()
            else:
                await self.confirm()
                await self.log.wait_beyond(self.position)

    async def project(
        self, connection: AsyncConnection[Any], foldings: list[Folding], events: list[RecordedEvent]
    ) -> None:
        """One batch in one transaction; the checkpoint is compared and swapped."""
        last = events[-1].commit_position
        causes = (event.envelope["cause"].get("traceparent") for event in events)
        with linked_span("project", causes, **{"rollbook.position": last, "rollbook.events": len(events)}):
            async with connection.transaction():
                for folding in foldings:
                    await folding.write(connection, events)
                await swap_checkpoint(connection, [f.name for f in foldings], self.position, last, self.epoch)
        for folding in foldings:
            folding.position = last

    async def confirm(self) -> None:
        """Notices, while nothing happens, that the log was restored; else the checkpoint notices."""
        if (await self.log.identity())[1] != self.epoch:
            raise CheckpointMoved("the store was restored from a backup")

    def progress(self) -> None:
        """Tells whoever waits for this position."""
        for tell in self.on_progress:
            tell(self.position)


async def pause_unless(stop: asyncio.Event, seconds: float) -> None:
    """Sleeps, but not through a stop."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def prepare(connection: AsyncConnection[Any], models: Sequence[ReadModel], epoch: int) -> list[Folding]:
    """Makes what tables are missing, or are of another epoch; answers a folding for each read model."""
    foldings = []
    for model in models:
        name = table(model)
        await drop_other_epoch(connection, model, name, epoch)
        await tables.create(connection, model, name)
        await tables.index(connection, model, name)
        await connection.execute("insert into checkpoints values (%s, 0, %s) on conflict do nothing", [name, epoch])
        at = await (
            await connection.execute("select position from checkpoints where read_model = %s", [name])
        ).fetchone()
        cursor = await connection.execute("select stream_id from parked_streams where read_model = %s", [model.name])
        parked = {row[0] for row in await cursor.fetchall()}
        foldings.append(Folding(model, name, int(at[0]) if at else 0, parked=parked))
    return foldings


async def drop_other_epoch(connection: AsyncConnection[Any], model: ReadModel, name: str, epoch: int) -> None:
    """A read model of a log that is no more is not continued."""
    async with connection.transaction():
        query = "delete from checkpoints where read_model = %s and epoch <> %s"
        if (await connection.execute(query, [name, epoch])).rowcount:
            await connection.execute(sql.SQL("drop table if exists {}").format(tables.named(name)))
            await connection.execute("delete from parked_streams where read_model = %s", [model.name])


def hindmost(foldings: list[Folding]) -> tuple[list[Folding], int | None]:
    """Those that are furthest behind, and the position at which the next ones wait for them."""
    lowest = min(f.position for f in foldings)
    beyond = [f.position for f in foldings if f.position > lowest]
    return [f for f in foldings if f.position == lowest], min(beyond) if beyond else None


async def swap_checkpoint(
    connection: AsyncConnection[Any], names: list[str], before: int, after: int, epoch: int
) -> None:
    """Moves the checkpoints, or raises CheckpointMoved when another leader did, or the log was restored."""
    statement = "update checkpoints set position = %s where read_model = any(%s) and position = %s and epoch = %s"
    cursor = await connection.execute(statement, [after, names, before, epoch])
    if cursor.rowcount != len(names):
        raise CheckpointMoved(f"checkpoints are not at {before}")
