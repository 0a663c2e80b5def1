"""Rows of a package on their way into a target: copied beside the tables first, then given their keys there."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.quoting import table_name
from application.ports.databases import Lines
from domain.dataset import Column, ForeignKey, KeyStrategy, Table
from domain.errors import Invalid

ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
NULL = "\\N"


@dataclass(slots=True)
class Stage:
    """The rows of one table. `table` is the target's own description, `packed` the package's, `number` names it here.

    Each row has its values as text (`v0`...), its key in the source (`source_key`, JSON), its key in the target
    (`k0`...), whether it was `found` there, and for references into the package the value in the target (`r0`...).
    """

    number: int
    name: str
    table: Table
    packed: Table
    references: list[tuple[int, ForeignKey, "Stage"]] = field(default_factory=list)

    @property
    def temporary(self) -> sql.Identifier:
        """The temporary table."""
        return sql.Identifier(f"rollbook_stage_{self.number}")

    @property
    def real(self) -> sql.Identifier:
        """The table in the target."""
        return table_name(self.table)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The packaged columns as the target has them, in the order of the package."""
        known = {column.name: column for column in self.table.columns}
        return tuple(known[column.name] for column in self.packed.packed_columns)

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the target's primary key."""
        known = {column.name: column for column in self.table.columns}
        return tuple(known[name] for name in self.table.primary_key)

    @property
    def generates(self) -> bool:
        """Whether the target makes the keys of new rows."""
        return self.packed.strategy is not KeyStrategy.PRESERVE and self.table.sequence is not None

    def place(self, name: str) -> int:
        """Where a packaged column stands."""
        return [column.name for column in self.packed.packed_columns].index(name)

    def packs(self, names: Sequence[str]) -> bool:
        """Whether all of these columns are in the package."""
        return set(names) <= {column.name for column in self.packed.packed_columns}

    def moves(self, name: str) -> bool:
        """Whether a column's values in the target are others than in the package."""
        own = self.generates and name in self.table.primary_key
        return own or any(place == self.place(name) for place, _, _ in self.references)

    def value(self, name: str, alias: str = "s") -> sql.Composable:
        """The value that a column will have in the target."""
        if name in self.table.primary_key:
            return sql.Identifier(alias, f"k{self.table.primary_key.index(name)}")
        return self.given(name, alias)

    def given(self, name: str, alias: str = "s") -> sql.Composable:
        """The packaged value in the target's type; of a reference, the value that it has there."""
        place = self.place(name)
        data_type = next(column.data_type for column in self.columns if column.name == name)
        packed = sql.SQL("{}::{}").format(sql.Identifier(alias, f"v{place}"), sql.SQL(data_type))
        if any(number == place for number, _, _ in self.references):
            return sql.SQL("coalesce({}, {})").format(sql.Identifier(alias, f"r{place}"), packed)
        return packed

    async def make(self, connection: AsyncConnection[Any]) -> None:
        """Makes the temporary table."""
        values = [sql.SQL("{} text").format(sql.Identifier(f"v{n}")) for n in range(len(self.columns))]
        keys = [sql.SQL("{} {}").format(sql.Identifier(f"k{n}"), sql.SQL(c.data_type)) for n, c in enumerate(self.key)]
        references = [
            sql.SQL("{} {}").format(sql.Identifier(f"r{place}"), sql.SQL(self.columns[place].data_type))
            for place in sorted({place for place, _, _ in self.references})
        ]
        query = sql.SQL(
            """create temporary table {} (line bigint generated always as identity, {}, source_key text,
                                          found boolean not null default false) on commit drop"""
        )
        members = sql.SQL(", ").join([*values, *keys, *references])
        await connection.execute(query.format(self.temporary, members))

    async def fill(self, connection: AsyncConnection[Any], batches: AsyncIterator[Lines]) -> int:
        """Copies the rows in; answers how many there are."""
        names = [sql.Identifier(f"v{n}") for n in range(len(self.columns))]
        copy = sql.SQL("copy {} ({}, source_key) from stdin").format(self.temporary, sql.SQL(", ").join(names))
        keys = [self.place(name) for name in self.packed.primary_key]
        rows = 0
        async with connection.cursor() as cursor, cursor.copy(copy) as target:
            async for lines in batches:
                rows += len(lines)
                await target.write("".join(self.copied(lines, keys)))
        await connection.execute(sql.SQL("analyze {}").format(self.temporary))
        return rows

    def copied(self, lines: Lines, keys: list[int]) -> Iterable[str]:
        """Rows as COPY reads them, each with the key that it has in the source."""
        width = len(self.columns)
        for line in lines:
            row = orjson.loads(line)
            if not isinstance(row, list) or len(row) != width:
                raise Invalid(f"A row of {self.name} does not have {width} values")
            yield "\t".join([*map(escaped, row), source_key(row, keys)]) + "\n"


def escaped(value: str | None) -> str:
    """A value as COPY reads it."""
    if value is None:
        return NULL
    return value.translate(ESCAPES) if isinstance(value, str) else refuse(value)


def refuse(value: Any) -> str:
    """Values are texts."""
    raise Invalid(f"A value of a package is {type(value).__name__}, not a text")


def source_key(row: list[str | None], keys: list[int]) -> str:
    """The key of a row in the source; rows without one have none."""
    if not keys:
        return NULL
    return orjson.dumps([row[place] for place in keys]).decode().translate(ESCAPES)
