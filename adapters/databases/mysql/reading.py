"""Packing from MySQL and MariaDB: one snapshot, the chosen rows and what they refer to, streamed as lines of JSON."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from adapters.databases.expecting import about
from adapters.databases.masking import Masked
from adapters.databases.measuring import measured
from adapters.databases.mysql.catalog import read_catalog, refuse_others
from adapters.databases.mysql.choosing import Choice
from adapters.databases.mysql.closure import Closure
from adapters.databases.mysql.session import Session, opened
from application.ports.databases import Found, Lines, Selection
from domain.dataset import DatabaseKind, Table

BATCH_BYTES = 1 << 20
SNAPSHOT = "start transaction with consistent snapshot, read only"


@dataclass(frozen=True, slots=True)
class MysqlSource:
    """See the port. `dsn` needs SELECT, and CREATE TEMPORARY TABLES where references are followed.

    The snapshot is InnoDB's: tables of another engine are read as they are in that moment.
    """

    dsn: str = field(repr=False)
    timeout_seconds: int = 3600
    kind: DatabaseKind = DatabaseKind.MYSQL

    async def catalog(self) -> Mapping[str, Table]:
        """Every table that may be packed; the names of a database are all of its own, without its name in front."""
        async with opened(self.dsn, self.timeout_seconds, "source") as session:
            return await read_catalog(session)

    @asynccontextmanager
    async def read(self, selection: Selection) -> AsyncIterator["MysqlReading"]:
        """Opens the snapshot; from the moment at which the user's own words are run it is read-only."""
        async with opened(self.dsn, self.timeout_seconds, "source") as session:
            await refuse_others(session, selection.tables, "packed")
            closure = Closure(session, Choice(await read_catalog(session), selection))
            await closure.prepare()
            await session.execute("set session transaction isolation level repeatable read")
            await session.execute(SNAPSHOT)
            await closure.complete()
            yield MysqlReading(session, closure)


@dataclass(frozen=True, slots=True)
class MysqlReading:
    """See the port."""

    session: Session
    closure: Closure

    @property
    def tables(self) -> Sequence[Table]:
        """Everything that has rows, parents first."""
        return self.closure.tables

    async def count(self, table: str) -> Found:
        """What the selection holds of a table."""
        return await measured(self.rows(table), await self.closure.reasons(table))

    async def expected(self, table: str) -> int:
        """What is noted down of a table; where nothing is, what the server expects, unless that is little."""
        rows = self.closure.noted(table)
        counted = partial(self.session.count, f"select count(*) from {rows}")
        return await counted() if self.closure.choice.is_closed else await about(await self.guess(rows), counted)

    async def guess(self, rows: str) -> int:
        """How many rows the server expects, of which it says how many percent a condition lets through."""
        explain = "explain extended" if self.session.is_mariadb else "explain"
        *_, found, percent, _ = await self.session.one(f"{explain} select 1 from {rows}")
        return int(float(found or 0) * float(percent or 0) / 100)

    async def rows(self, table: str) -> AsyncIterator[Lines]:
        """The rows of a table, about a megabyte at a time."""
        held, size = list[bytes](), 0
        places, masks = self.closure.bytes[table], self.closure.masks[table]
        async for batch in self.session.stream(self.closure.lines(table)):
            lines = list(map(orjson.dumps, told(batch, places, masks) if places or masks else batch))
            held += lines
            size += sum(map(len, lines))
            if size >= BATCH_BYTES:
                yield held
                held, size = [], 0
        if held:
            yield held


def told(
    batch: Sequence[Any], places: Sequence[int], masks: Sequence[tuple[int, Masked]]
) -> Iterator[list[str | None]]:
    """Rows with digits in the places of bytes, and masks in those of some values; nothing stays nothing."""
    for row in batch:
        values = list(row)
        for place in places:
            if values[place] is not None:
                values[place] = values[place].hex().upper()
        for place, masked in masks:
            if values[place] is not None:
                values[place] = masked(values[place])
        yield values
