"""Who writes which read model: each table has one leader, so that two releases keep their own tables side by side."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.postgres import tables
from adapters.postgres.folding import Folding
from projections.read_model import ReadModel, table

LEADERS = 7240564
# A leader that hangs, or whose machine is gone, is cut off by Postgres after so long; nothing that it sent before
# is left half done, and nothing that it sends later arrives.
SILENCE_SECONDS = 10.0


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
        kept = {row[0] for row in await self.rows("select read_model from checkpoints", [])}
        return sorted((m for m in self.models if table(m) not in led), key=lambda m: table(m) in kept)

    async def won(self, model: ReadModel) -> bool:
        """Whether the table had no other leader and is ours now."""
        query = "select pg_try_advisory_lock(%s, hashtext(%s))"
        return bool((await self.rows(query, [LEADERS, table(model)]))[0][0])

    async def is_new(self, model: ReadModel) -> bool:
        """Whether nobody has kept this version of the read model yet."""
        return not await self.rows("select from checkpoints where read_model = %s", [table(model)])

    async def prepare(self, model: ReadModel, epoch: int) -> None:
        """Takes the read model up where it stands; its table is made when it is missing or of another epoch."""
        name = table(model)
        await self.drop_other_epoch(name, epoch)
        await tables.create(self.connection, model, name)
        await tables.index(self.connection, model, name)
        await self.connection.execute(
            "insert into checkpoints values (%s, 0, %s) on conflict do nothing", [name, epoch]
        )
        ((position,),) = await self.rows("select position from checkpoints where read_model = %s", [name])
        parked = await self.rows("select stream_id from parked_streams where read_model = %s", [name])
        self.foldings.append(Folding(model, name, position, parked={row[0] for row in parked}))

    async def drop_other_epoch(self, name: str, epoch: int) -> None:
        """A read model of a log that is no more is not continued."""
        async with self.connection.transaction():
            query = "delete from checkpoints where read_model = %s and epoch <> %s"
            if (await self.connection.execute(query, [name, epoch])).rowcount:
                await self.connection.execute(sql.SQL("drop table if exists {}").format(tables.named(name)))
                await self.connection.execute("delete from parked_streams where read_model = %s", [name])

    async def must_be_heard(self, seconds: float = SILENCE_SECONDS) -> None:
        """Has Postgres end this connection, and with it the leadership, when it is silent for longer; 0: never."""
        query = """select set_config(name, %s, false)
                     from unnest('{idle_session_timeout,idle_in_transaction_session_timeout}'::text[]) name"""
        await self.rows(query, [str(round(seconds * 1000))])

    async def epoch(self) -> int:
        """The log's present epoch; asked on this connection, so that it is heard."""
        return int((await self.rows("select epoch from rollbook.identity", []))[0][0])

    async def resign(self) -> None:
        """Lets others lead."""
        self.foldings = []
        if not self.connection.broken:
            await self.connection.execute("select pg_advisory_unlock_all()")
            await self.must_be_heard(0)

    async def rows(self, query: str, values: list[Any]) -> list[Any]:
        """What a query of ours answers."""
        return await (await self.connection.execute(query.encode(), values)).fetchall()
