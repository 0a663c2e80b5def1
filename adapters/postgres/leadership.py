"""Who writes which read model: each table has one leader, so that two releases keep their own tables side by side."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection, sql

from adapters.postgres import tables
from adapters.postgres.folding import Folding
from projections.read_model import ReadModel, table

log = structlog.get_logger()
LEADERS = 7240564
SILENCE_SECONDS = 10.0
BUILDER = "rollbook builder"
# A leader that hangs, or whose machine is gone, says nothing while Postgres waits for it. Once it is cut off, nothing
# that it sent is left half done, and nothing that it sends later arrives.
DEPOSE = """
select l.objid, pg_terminate_backend(a.pid)
  from pg_locks l join pg_stat_activity a using (pid)
 where l.locktype = 'advisory' and l.classid = %s and l.granted and a.pid <> pg_backend_pid()
   and l.database = (select oid from pg_database where datname = current_database())
   and a.application_name <> %s and a.wait_event_type = 'Client'
   and a.state_change < clock_timestamp() - %s * interval '1 second'
"""


class Leadership:
    """Locks on one connection: while it lives, nobody else leads the tables that were won on it."""

    def __init__(self, connection: AsyncConnection[Any], models: Sequence[ReadModel]) -> None:
        self.connection = connection
        self.models = models
        self.foldings: list[Folding] = []

    @property
    def complete(self) -> bool:
        """Whether this process leads all that it could."""
        return len(self.foldings) == len(self.models)

    async def wanted(self) -> list[ReadModel]:
        """Those that are not led here, new ones first: nothing that others keep waits while they are built."""
        led = {folding.name for folding in self.foldings}
        kept = {row[0] for row in await self.rows("select read_model from rollbook_views.checkpoints", [])}
        return sorted((m for m in self.models if table(m) not in led), key=lambda m: table(m) in kept)

    async def won(self, model: ReadModel) -> bool:
        """Whether the table had no other leader and is ours now."""
        query = "select pg_try_advisory_lock(%s, hashtext(%s))"
        return bool((await self.rows(query, [LEADERS, table(model)]))[0][0])

    async def is_new(self, model: ReadModel) -> bool:
        """Whether nobody has kept this version of the read model yet."""
        return not await self.rows("select from rollbook_views.checkpoints where read_model = %s", [table(model)])

    async def prepare(self, model: ReadModel, epoch: int) -> None:
        """Takes the read model up where it stands; its table is made when it is missing or of another epoch."""
        name = table(model)
        await self.drop_other_epoch(name, epoch)
        await tables.create(self.connection, model, name)
        await tables.index(self.connection, model, name)
        await self.connection.execute(
            "insert into rollbook_views.checkpoints values (%s, 0, %s) on conflict do nothing", [name, epoch]
        )
        ((position,),) = await self.rows(
            "select position from rollbook_views.checkpoints where read_model = %s", [name]
        )
        parked = await self.rows("select stream_id from parked_streams where read_model = %s", [name])
        self.foldings.append(Folding(model, name, position, parked={row[0] for row in parked}))

    async def drop_other_epoch(self, name: str, epoch: int) -> None:
        """A read model of a log that is no more is not continued."""
        async with self.connection.transaction():
            query = "delete from rollbook_views.checkpoints where read_model = %s and epoch <> %s"
            if (await self.connection.execute(query, [name, epoch])).rowcount:
                await self.connection.execute(sql.SQL("drop table if exists {}").format(tables.named(name)))
                await self.connection.execute("delete from parked_streams where read_model = %s", [name])

    async def depose_the_silent(self) -> None:
        """Cuts off leaders that were not heard of for SILENCE_SECONDS, unless they build."""
        # Only who logged in as they did may do that.
        await self.connection.execute("reset role")
        try:
            if await self.rows(DEPOSE, [LEADERS, BUILDER, SILENCE_SECONDS]):
                log.warning("leader.deposed", silent_seconds=SILENCE_SECONDS)
        except psycopg.errors.InsufficientPrivilege:
            log.warning("leader.silent", problem="it logged in as another role")
        finally:
            await self.connection.execute("set role rollbook_projector")

    @asynccontextmanager
    async def building(self) -> AsyncIterator[None]:
        """Meanwhile it is silent for as long as it likes."""
        ((before,),) = await self.rows("show application_name", [])
        rename = "select set_config('application_name', %s, false)"
        await self.rows(rename, [BUILDER])
        try:
            yield
        finally:
            if not self.connection.broken:
                await self.rows(rename, [before])

    async def epoch(self) -> int:
        """The log's present epoch; asked on this connection, so that it is heard."""
        return int((await self.rows("select epoch from rollbook.identity", []))[0][0])

    async def resign(self) -> None:
        """Lets others lead."""
        self.foldings = []
        if not self.connection.broken:
            await self.connection.execute("select pg_advisory_unlock_all()")

    async def rows(self, query: str, values: list[Any]) -> list[Any]:
        """What a query of ours answers."""
        return await (await self.connection.execute(query.encode(), values)).fetchall()
