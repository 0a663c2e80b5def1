"""Deploying into MySQL and MariaDB: all rows in one transaction, set by set, with what is needed to go back.

What InnoDB cannot do: it checks references row by row and never at the end, so that tables that refer in a circle are
written with its checks off and looked at by us, under locks, before the commit; and it commits at every change of a
schema, so that the tables of our own are made before the transaction. A table of another engine is refused.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from adapters.databases.mysql import marks
from adapters.databases.mysql.catalog import read_catalog
from adapters.databases.mysql.deploying import Deploying
from adapters.databases.mysql.quoting import key_shown, literal
from adapters.databases.mysql.session import Session, opened
from adapters.databases.mysql.undoing import undo
from application.ports.databases import Contents, Difference, Order, Outcome, Recalled, Report
from domain.dataset import DatabaseKind, Table


@dataclass(frozen=True, slots=True)
class MysqlTarget:
    """See the port. `dsn` needs to read and write the tables, CREATE and CREATE TEMPORARY TABLES."""

    dsn: str = field(repr=False)
    timeout_seconds: int = 3600
    kind: DatabaseKind = DatabaseKind.MYSQL

    async def catalog(self) -> Mapping[str, Table]:
        """Every table that rows may be deployed to."""
        async with self.opened() as session:
            return await read_catalog(session)

    async def deploy(self, contents: Contents, order: Order, report: Report) -> Outcome:
        """All or nothing; what was made before under this id is only told again."""
        async with self.opened() as session:
            is_dry = order.options.dry_run
            await marks.take_over(session, order.deployment_id)
            await marks.prepare(session, order.package, is_dry)
            if before := await marks.made_before(session, order.deployment_id):
                return before
            deploying = await Deploying.of(session, contents, order, is_dry)
            return await deploying.run(contents, report)

    async def differences(self, contents: Contents, order: Order) -> Mapping[str, Difference]:
        """What a deployment would do; changes nothing."""
        async with self.opened() as session:
            await marks.prepare(session, order.package, True)
            deploying = await Deploying.of(session, contents, order, True)
            return await deploying.differences(contents)

    async def roll_back(self, deployment_id: str, force: bool, report: Report) -> Outcome:
        """Restores what was before."""
        async with self.opened() as session:
            await marks.take_over(session, deployment_id)
            return await undo(session, deployment_id, force, await read_catalog(session), report)

    async def recall(self, package: str, deployment_id: str) -> Recalled | None:
        """What became of a deployment, once nobody changes the package's rows any more."""
        async with self.opened() as session:
            await marks.take_over(session, deployment_id)
            await marks.lock(session, package)
            if marks.DEPLOYMENTS not in await marks.known(session):
                return None
            return await marks.recalled(session, deployment_id)

    async def keys(self, deployment_id: str, table: str) -> AsyncGenerator[Sequence[tuple[str, str]], None]:
        """The whole mapping of source keys to target keys."""
        query = f"""select {key_shown("l.source_key")}, {key_shown("l.target_key")} from {marks.LINEAGE} l
                     where l.table_name = {literal(table)} and l.package = (
                           select d.package from {marks.DEPLOYMENTS} d where d.deployment_id = {literal(deployment_id)})
                     order by l.source_key"""
        async with self.opened() as session:
            if marks.DEPLOYMENTS not in await marks.known(session):
                return
            async for batch in session.stream(query):
                yield [(source, target) for source, target in batch]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Session]:
        """A session that sees what others commit, and waits for their locks."""
        async with opened(self.dsn, self.timeout_seconds, "target") as session:
            await session.execute("set session transaction isolation level read committed")
            yield session
