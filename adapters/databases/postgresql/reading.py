"""Packing from PostgreSQL: one snapshot, the chosen rows and what they refer to, streamed as lines of JSON."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.expecting import about
from adapters.databases.measuring import SAMPLE_ROWS
from adapters.databases.postgresql.catalog import read_catalog
from adapters.databases.postgresql.closure import Closure
from adapters.databases.postgresql.connecting import connected
from adapters.databases.postgresql.copying import copied
from adapters.databases.postgresql.exact import EXACT, rely_on_catalog
from adapters.databases.postgresql.masking import hidden
from adapters.databases.postgresql.others import refuse_others
from adapters.databases.postgresql.rights import give_up_rights, reduce_rights
from application.ports.databases import Found, Lines, Selection
from domain.dataset import DatabaseKind, Table

BATCH_BYTES = 1 << 18
# What is in is found by whole tables; the default would have it sorted on disk.
MEMORY = "set local work_mem = '32MB'; set local jit = off"


@dataclass(frozen=True, slots=True)
class PostgresSource:
    """See the port. `dsn` needs to read, and to make temporary tables; nothing is ever written but those."""

    dsn: str = field(repr=False)
    timeout_seconds: int = 3600
    lock_seconds: int = 60
    kind: DatabaseKind = DatabaseKind.POSTGRESQL

    async def catalog(self) -> Mapping[str, Table]:
        """Every table that may be packed."""
        async with self.connected() as connection:
            return await read_catalog(connection)

    @asynccontextmanager
    async def read(self, selection: Selection) -> AsyncIterator["PostgresReading"]:
        """Opens the snapshot; from the moment at which the user's own words are run it is read-only."""
        async with self.connected() as connection, connection.transaction(force_rollback=True):
            await connection.execute("set transaction isolation level repeatable read, read write")
            await connection.execute(f"{EXACT}; {MEMORY}".encode())
            limit = sql.SQL("set local statement_timeout = {}").format(self.timeout_seconds * 1000)
            await connection.execute(limit)
            catalog = await read_catalog(connection)
            await refuse_others(connection, catalog, selection.tables, "packed")
            closure = Closure(connection, catalog, selection)
            await closure.prepare()
            await give_up_rights(connection, closure.places)
            await connection.execute("set transaction read only")
            await closure.complete()
            yield PostgresReading(connection, closure)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection with limits, and with no more rights than it needs."""
        async with connected(self.dsn, "source", self.timeout_seconds, self.lock_seconds) as connection:
            await rely_on_catalog(connection)
            await reduce_rights(connection)
            yield connection


@dataclass(frozen=True, slots=True)
class PostgresReading:
    """See the port."""

    connection: AsyncConnection[Any]
    closure: Closure

    @property
    def tables(self) -> Sequence[Table]:
        """Everything that has rows, parents first."""
        return self.closure.tables

    async def count(self, table: str) -> Found:
        """What the selection holds of a table."""
        reasons = await self.closure.reasons(table)
        size = sql.SQL("select count(*), coalesce(sum(octet_length(line) + 1), 0) from ({}) as lines (line)")
        query = size.format(self.closure.lines(table))
        row = await (await self.connection.execute(query)).fetchone()
        assert row is not None
        sample = sql.SQL("{} limit {}").format(self.closure.lines(table), SAMPLE_ROWS)
        lines = [line.encode() for (line,) in await (await self.connection.execute(sample)).fetchall()]
        return Found(int(row[0]), int(row[1]), reasons, hidden(lines, self.closure.masks[table]))

    async def expected(self, table: str) -> int:
        """What is noted down of a table; of a whole one what the planner expects, unless it is small."""
        rows = self.closure.noted(table)
        counted = partial(self.number, sql.SQL("select count(*) from {}").format(rows))
        if table not in self.closure.whole:
            return await counted()
        plan = await self.one(sql.SQL("explain (format json) select from {}").format(rows))
        return await about(int(plan[0]["Plan"]["Plan Rows"]), counted)

    async def number(self, query: sql.Composed) -> int:
        """The one number that a query answers."""
        return int(await self.one(query))

    async def one(self, query: sql.Composed) -> Any:
        """The one value that a query answers."""
        row = await (await self.connection.execute(query)).fetchone()
        assert row is not None
        return row[0]

    async def rows(self, table: str) -> AsyncIterator[Lines]:
        """The rows of a table, about a quarter of a megabyte at a time."""
        # No JSON text holds these control characters, so that nothing is ever quoted or escaped on its way.
        form = "(format csv, quote E'\\x01', delimiter E'\\x02', escape E'\\x01')"
        copy = sql.SQL("copy ({}) to stdout {}").format(self.closure.lines(table), sql.SQL(form))
        async with aclosing(copied(self.connection, copy, BATCH_BYTES)) as batches:
            async for rows in batches:
                yield hidden(rows[:-1].split(b"\n"), self.closure.masks[table])
