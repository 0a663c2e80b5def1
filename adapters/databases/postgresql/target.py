"""A PostgreSQL database that packages are deployed to: all rows in one transaction, with what is needed to go back."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from psycopg import AsyncConnection

from adapters.databases.postgresql import mapping
from adapters.databases.postgresql.catalog import read_catalog
from adapters.databases.postgresql.connecting import connected
from adapters.databases.postgresql.deploying import Deployment
from adapters.databases.postgresql.differing import differences
from adapters.databases.postgresql.exact import EXACT
from adapters.databases.postgresql.recalling import recall
from adapters.databases.postgresql.undoing import undo
from application.ports.databases import Contents, Difference, Order, Outcome, Recalled, Report
from application.ports.mappings import LinesOf
from domain.dataset import DatabaseKind, Table

# What statements that concern whole tables need; the default would have them go by disk, and look at a tenth of a
# large stage to know that joins by hash are best.
MEMORY = "set local work_mem = '64MB'; set local maintenance_work_mem = '128MB'; set local jit = off;\
 set local default_statistics_target = 20"
# Less than a lease: the server lets nobody commit who stood still while others were given the work.
STANDING_STILL = "set local idle_in_transaction_session_timeout = '10s'"


class Rehearsed(Exception):
    """Everything was done; nothing of it is to stay."""


@dataclass(frozen=True, slots=True)
class PostgresTarget:
    """See the port. The role writes the tables, and makes a schema of its own for what is noted."""

    dsn: str = field(repr=False)
    timeout_seconds: int = 3600
    lock_seconds: int = 60
    kind: DatabaseKind = DatabaseKind.POSTGRESQL

    async def catalog(self) -> Mapping[str, Table]:
        """Every table that rows may be deployed to."""
        async with self.connected() as connection:
            return await read_catalog(connection)

    async def deploy(self, contents: Contents, order: Order, report: Report) -> Outcome:
        """All or nothing; what was made before under this id is only told again."""
        found: list[Outcome] = []
        async with self.transaction(order.options.dry_run) as connection:
            found.append(await Deployment(connection, contents, order, report).run())
        return found[0]

    async def differences(self, contents: Contents, order: Order) -> Mapping[str, Difference]:
        """What `deploy` would do, found out in a transaction that is taken back."""
        found: list[Mapping[str, Difference]] = []
        dry = replace(order, options=replace(order.options, dry_run=True))
        async with self.transaction(take_back=True) as connection:
            deployment = Deployment(connection, contents, dry, lambda table, rows: None)
            found.append(await differences(deployment))
        return found[0]

    async def roll_back(self, deployment_id: str, force: bool, report: Report) -> Outcome:
        """Restores what was before."""
        async with self.transaction() as connection:
            return await undo(connection, deployment_id, force, report)

    async def recall(self, package: str, deployment_id: str) -> Recalled | None:
        """What became of a deployment."""
        async with self.transaction() as connection:
            return await recall(connection, package, deployment_id)

    async def keys(self, deployment_id: str, table: str) -> AsyncGenerator[Sequence[tuple[str, str]], None]:
        """The whole mapping of source keys to target keys."""
        async with self.connected() as connection, aclosing(mapping.pairs(connection, deployment_id, table)) as found:
            async for batch in found:
                yield batch

    @asynccontextmanager
    async def key_lines(self, deployment_id: str) -> AsyncIterator[LinesOf]:
        """The same in lines, of one table after the other."""
        async with self.connected() as connection:
            yield partial(mapping.lines, connection, deployment_id)

    @asynccontextmanager
    async def transaction(self, take_back: bool = False) -> AsyncIterator[AsyncConnection[Any]]:
        """A transaction in which texts are exact."""
        async with self.connected() as connection:
            try:
                async with connection.transaction():
                    await connection.execute(EXACT.encode())
                    await connection.execute(MEMORY.encode())
                    await connection.execute(STANDING_STILL)
                    yield connection
                    if take_back:
                        raise Rehearsed
            except Rehearsed:
                pass

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection with limits."""
        async with connected(self.dsn, "target", self.timeout_seconds, self.lock_seconds) as connection:
            yield connection
