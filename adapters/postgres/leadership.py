"""Who writes which read model: each table has one leader, so that two releases keep their own tables side by side."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
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
LOOK_SECONDS = 0.5
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
BEGUN = """
insert into rollbook_views.checkpoints select name, 0, %s from unnest(%s::text[]) name on conflict do nothing
"""
STAND = """
select read_model, position, array(select stream_id from parked_streams p where p.read_model = c.read_model)
  from rollbook_views.checkpoints c where read_model = any(%s)
"""


class Leadership:
    """Locks on one connection: while it lives, nobody else leads the tables that were won on it."""

    def __init__(self, connection: AsyncConnection[Any], models: Sequence[ReadModel]) -> None:
        self.connection = connection
        self.models = models
        self.foldings: list[Folding] = []
        self.next_look = 0.0

    @property
    def complete(self) -> bool:
        """Whether this process leads all that it could."""
        return len(self.foldings) == len(self.models)

    @property
    def wanted(self) -> list[ReadModel]:
        """Those that are not led here."""
        led = {folding.name for folding in self.foldings}
        return [model for model in self.models if table(model) not in led]

    async def new(self, models: Sequence[ReadModel]) -> list[ReadModel]:
        """Those of which nobody has kept this version yet."""
        query = "select read_model from rollbook_views.checkpoints where read_model = any(%s)"
        kept = {name for (name,) in await self.rows(query, [names_of(models)])}
        return [model for model in models if table(model) not in kept]

    async def won(self, models: Sequence[ReadModel]) -> list[ReadModel]:
        """Those that had no other leader, and are ours now."""
        query = "select name from unnest(%s::text[]) name where pg_try_advisory_lock(%s, hashtext(name))"
        free = {name for (name,) in await self.rows(query, [names_of(models), LEADERS])}
        return [model for model in models if table(model) in free]

    async def prepare(self, models: Sequence[ReadModel], epoch: int) -> None:
        """Takes read models up where they stand, in few questions, as nothing is projected meanwhile.

        Tables are made where they are missing or of another epoch; indexes too, when another release needed fewer.
        """
        names = names_of(models)
        await self.drop_other_epochs(names, epoch)
        for model in await tables.lacking(self.connection, models):
            await tables.create(self.connection, model, table(model))
            await tables.index(self.connection, model, table(model))
        await self.connection.execute(BEGUN, [epoch, names])
        found = {name: (position, set(parked)) for name, position, parked in await self.rows(STAND, [names])}
        self.foldings += [Folding(m, table(m), found[table(m)][0], parked=found[table(m)][1]) for m in models]

    async def drop_other_epochs(self, names: list[str], epoch: int) -> None:
        """Read models of a log that is no more are not continued."""
        others = "select read_model from rollbook_views.checkpoints where read_model = any(%s) and epoch <> %s"
        for (name,) in await self.rows(others, [names, epoch]):
            async with self.connection.transaction():
                query = "delete from rollbook_views.checkpoints where read_model = %s and epoch <> %s"
                if (await self.connection.execute(query, [name, epoch])).rowcount:
                    await self.connection.execute(sql.SQL("drop table if exists {}").format(tables.named(name)))
                    await self.connection.execute("delete from parked_streams where read_model = %s", [name])

    async def depose_the_silent(self) -> None:
        """Cuts off leaders that were not heard of for SILENCE_SECONDS, unless they build; looks now and then."""
        if monotonic() < self.next_look:
            return
        self.next_look = monotonic() + LOOK_SECONDS
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


def names_of(models: Sequence[ReadModel]) -> list[str]:
    """Their tables."""
    return [table(model) for model in models]
