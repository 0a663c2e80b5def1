"""Rows of a package on their way into a target: beside the tables first, with what they refer to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.facts import Facts
from adapters.databases.postgresql.marks import lineage
from adapters.databases.postgresql.quoting import table_name
from domain.dataset import Column, ForeignKey, KeyStrategy, Table

NEW, KNOWN, MET = 0, 1, 2
"""Whether a row is in the target: no; yes, this package brought it; yes, it was met there by its values."""


@dataclass(slots=True)
class Reference:
    """Rows that a stage's rows refer to: `parent` has those in the package, `real` is their table in the target, and
    `is_mapped` says that keys of rows brought earlier are looked up too."""

    number: int
    key: ForeignKey
    parent: "Stage | None"
    real: Table | None
    is_mapped: bool = False

    @property
    def alias(self) -> str:
        """The row in the package."""
        return f"p{self.number}"

    @property
    def mapping_alias(self) -> str:
        """The key of a row that was brought earlier."""
        return f"x{self.number}"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The referring columns with those that they refer to."""
        return list(zip(self.key.columns, self.key.referenced_columns, strict=True))


@dataclass(slots=True)
class Stage:
    """The rows of one table. `table` is the target's own description, `packed` the package's, `number` names it here.

    A row has its values (`v0`...), its key in the target (`k0`...), whether it was `found` there, and why it `failed`.
    """

    number: int
    name: str
    table: Table
    packed: Table
    facts: Facts
    match: tuple[str, ...] = ()
    part: int = 0
    is_first: bool = False
    sequences: dict[str, str] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    rows: int = 0

    @property
    def temporary(self) -> sql.Identifier:
        """The temporary table."""
        return sql.Identifier(f"rollbook_stage_{self.number}")

    def mapping(self, reference: Reference) -> sql.Identifier:
        """The temporary table of keys of rows that were brought earlier."""
        return sql.Identifier(f"rollbook_mapping_{self.number}_{reference.number}")

    @property
    def lineage(self) -> sql.Identifier:
        """Where the rows went that this package brought."""
        return lineage(self.part)

    @property
    def real(self) -> sql.Identifier:
        """The table in the target."""
        return table_name(self.table)

    @property
    def own_rows(self) -> sql.Composed:
        """Its rows in the target, without those of tables that inherit from it."""
        return self.facts.own_rows(self.real)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The packaged columns as the target has them, in the order of the package."""
        known = {column.name: column for column in self.table.columns}
        return tuple(known[column.name] for column in self.packed.packed_columns)

    @property
    def names(self) -> list[str]:
        """The names of the packaged columns."""
        return [column.name for column in self.packed.packed_columns]

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the target's primary key."""
        return self.table.primary_key

    @property
    def free(self) -> list[str]:
        """The packaged columns that may be written to a row that is there."""
        return [name for name in self.names if name not in self.key and name not in self.facts.fixed]

    @property
    def generates(self) -> bool:
        """Whether the target makes the keys of new rows."""
        wanted = self.packed.strategy is not KeyStrategy.PRESERVE or not self.packs(self.key)
        return wanted and self.table.sequence is not None

    @property
    def source_key(self) -> tuple[str, ...]:
        """The columns that are a row's key in the source; none when they are not in the package."""
        return self.packed.primary_key if self.packs(self.packed.primary_key) else ()

    def packs(self, names: Sequence[str]) -> bool:
        """Whether all of these columns are in the package."""
        return set(names) <= set(self.names)

    def given(self, name: str, alias: str = "s") -> sql.Identifier:
        """The packaged value."""
        return sql.Identifier(alias, f"v{self.names.index(name)}")

    def has_own_keys(self, columns: Sequence[str]) -> bool:
        """Whether these columns tell the package's rows apart."""
        return tuple(columns) in (self.packed.primary_key, *self.packed.unique)

    def moved(self, name: str, alias: str) -> sql.Composable:
        """What a column of a packaged row will be in the target, for those who refer to it."""
        if name not in self.key:
            return self.given(name, alias)
        key = sql.Identifier(alias, f"k{self.key.index(name)}")
        if self.generates or not self.packs([name]):
            return key
        return sql.SQL("coalesce({}, {})").format(key, self.given(name, alias))

    def mapped(self, name: str) -> sql.Composable:
        """The packaged value with references as they are in the target; needs `sources`."""
        found: list[sql.Composable] = []
        for reference in self.references:
            for place, (own, referenced) in enumerate(reference.pairs):
                if own == name and reference.parent:
                    found.append(reference.parent.moved(referenced, reference.alias))
                if own == name and reference.is_mapped:
                    found.append(sql.Identifier(reference.mapping_alias, f"b{place}"))
        return sql.SQL("coalesce({})").format(sql.SQL(", ").join([*found, self.given(name)]))

    def value(self, name: str) -> sql.Composable:
        """What a column of a new row gets; needs `sources`."""
        if name not in self.key:
            return self.mapped(name)
        key = sql.Identifier("s", f"k{self.key.index(name)}")
        return key if self.generates else sql.SQL("coalesce({}, {})").format(key, self.mapped(name))

    @property
    def sources(self) -> sql.Composable:
        """The rows with those that they refer to."""
        found: list[sql.Composable] = [sql.SQL("{} s").format(self.temporary)]
        for reference in self.references:
            if reference.parent:
                found.append(self.beside(reference, reference.parent.temporary, reference.alias))
            if reference.is_mapped:
                found.append(self.beside(reference, self.mapping(reference), reference.mapping_alias))
        return sql.SQL(" left join ").join(found)

    def beside(self, reference: Reference, table: sql.Identifier, alias: str) -> sql.Composed:
        """How a row and one that it refers to belong together."""
        is_parent = reference.parent is not None and alias == reference.alias
        same = [
            sql.SQL("{} = {}").format(
                reference.parent.given(referenced, alias)
                if is_parent and reference.parent
                else sql.Identifier(alias, f"a{place}"),
                self.given(own),
            )
            for place, (own, referenced) in enumerate(reference.pairs)
        ]
        return sql.SQL("{} {} on {}").format(table, sql.Identifier(alias), sql.SQL(" and ").join(same))

    def same_key(self) -> sql.Composed:
        """A row `t` of the table has the key of a row `s` on its way."""
        pairs = [
            sql.SQL("t.{} = {}").format(
                sql.Identifier(name),
                sql.Identifier("s", f"k{number}") if self.generates else self.moved(name, "s"),
            )
            for number, name in enumerate(self.key)
        ]
        return sql.SQL(" and ").join(pairs)

    def source_key_text(self, alias: str = "s") -> sql.Composed:
        """A row's key in the source, as it is noted."""
        return key_text([self.given(name, alias) for name in self.source_key])

    def target_key_text(self) -> sql.Composed:
        """A row's key in the target, as it is noted."""
        return key_text([self.moved(name, "s") for name in self.key])

    def from_text(self, column: str) -> sql.Composed:
        """One column of a key in the target out of its note `l`."""
        return key_of_text(self.key, self.facts, column)

    async def make(self, connection: AsyncConnection[Any], raw: bool = False) -> None:
        """Makes the temporary table, or a raw one of texts for rows that may not all be fit."""
        values = [
            sql.SQL("{} {}").format(sql.Identifier(f"v{n}"), sql.SQL("text" if raw else self.facts.types[name]))
            for n, name in enumerate(self.names)
        ]
        keys = [
            sql.SQL("{} {}").format(sql.Identifier(f"k{n}"), sql.SQL(self.facts.types[name]))
            for n, name in enumerate(self.key)
        ]
        query = sql.SQL(
            """create temporary table {} (line bigint generated by default as identity (cache 1000), {},
                                          found smallint not null default 0, failed text) on commit drop"""
        )
        name = sql.Identifier(f"rollbook_raw_{self.number}") if raw else self.temporary
        await connection.execute(query.format(name, sql.SQL(", ").join([*values, *keys])))


def key_text(values: list[Any]) -> sql.Composed:
    """A key as text: that of one column as it is, of several as JSON."""
    if len(values) == 1:
        return sql.SQL("({})::text").format(values[0])
    texts = sql.SQL(", ").join([sql.SQL("({})::text").format(value) for value in values])
    return sql.SQL("to_json(array[{}]::text[])::text").format(texts)


def key_of_text(key: tuple[str, ...], facts: Facts, column: str) -> sql.Composed:
    """One column of a key out of the note `l` of it."""
    text: sql.Composable = sql.SQL("l.target_key")
    if len(key) > 1:
        text = sql.SQL("(l.target_key::json ->> {})").format(key.index(column))
    return sql.SQL("{}::{}").format(text, sql.SQL(facts.types[column]))
