"""Packing from MySQL and MariaDB: one snapshot, the chosen rows and what they refer to, streamed as lines of JSON."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from adapters.databases.masking import Masked
from adapters.databases.mysql.catalog import read_catalog, refuse_others
from adapters.databases.mysql.choosing import Choice
from adapters.databases.mysql.closure import Closure
from adapters.databases.mysql.session import Session, opened
from application.ports.databases import Found, Lines, Selection
from domain.dataset import DatabaseKind, Table

BATCH_BYTES = 1 << 20
SAMPLE_ROWS = 5
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
        rows = size = 0
        sample: list[bytes] = []
        async for lines in self.rows(table):
            rows += len(lines)
            size += sum(map(len, lines)) + len(lines)
            sample += lines[: SAMPLE_ROWS - len(sample)]
        return Found(rows, size, await self.closure.reasons(table), sample)

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
