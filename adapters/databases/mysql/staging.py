"""Rows of a package on their way into a target: in temporary tables beside the tables first, in the target's types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from adapters.databases.mysql.quoting import as_text, indexed, name
from adapters.databases.mysql.session import Session
from domain.dataset import Column, ForeignKey, KeyStrategy, Table
from domain.errors import Invalid

TEXT = "longtext character set utf8mb4 collate utf8mb4_bin null default null"
MOST_REFUSED = 10_000
KNOWN, MET = 1, 2
"""How a row was found in the target: this package brought it, or it was met there by its values."""


@dataclass(slots=True)
class Reference:
    """References of a stage's rows, as the target or the package knows them. `parent` has the rows in the package,
    unless they lack the columns that are referred to: then only rows of the target are meant.

    Its temporary table maps what a reference says in the package (`h`, a digest) to what it is in the target (`q0`...).
    """

    temporary: str
    key: ForeignKey
    parent: "Stage | None"
    is_real: bool
    is_late: bool = False
    moved: tuple[str, ...] = ()


@dataclass(slots=True)
class Stage:
    """The rows of one table. `table` is the target's own description, `packed` the package's, `number` names it here.

    A row has its number in the package (`line`), its values there (`v0`...), what those that move are here (`w0`...),
    its key in the target (`k0`...), whether it was `found` there, whether it is `changed`, and why it `failed`.
    """

    number: int
    table: Table
    packed: Table
    types: Mapping[str, str]
    match: tuple[str, ...] = ()
    references: list[Reference] = field(default_factory=list)
    moving: set[str] = field(default_factory=set)
    rows: int = 0
    refused: int = 0
    fingerprint: Any = None

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    @property
    def real(self) -> str:
        """The table in the target."""
        return name(self.table.name)

    @property
    def temporary(self) -> str:
        """The temporary table."""
        return f"rollbook_stage_{self.number}"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The packaged columns as the target has them, in the order of the package."""
        return tuple(self.column(column.name) for column in self.packed.packed_columns)

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the target's primary key."""
        return tuple(self.column(column) for column in self.table.primary_key)

    @property
    def own_key(self) -> frozenset[str]:
        """The names of these columns."""
        return frozenset(self.table.primary_key)

    @property
    def free(self) -> tuple[Column, ...]:
        """The packaged columns that may be written to a row that is there."""
        return tuple(column for column in self.columns if column.name not in self.table.primary_key)

    @property
    def generates(self) -> bool:
        """Whether the target makes the keys of new rows."""
        wanted = self.packed.strategy is not KeyStrategy.PRESERVE or not self.packs(self.table.primary_key)
        return wanted and self.table.strategy is KeyStrategy.AUTO_INCREMENT

    @property
    def source_key(self) -> tuple[int, ...]:
        """Where the columns stand that are a row's key in the source; nowhere when they are not in the package."""
        names = self.packed.primary_key
        return tuple(self.place(column) for column in names) if self.packs(names) else ()

    @property
    def unique(self) -> list[tuple[str, ...]]:
        """What tells rows apart: the declared match key first, then what the target holds to be unique."""
        return [*([self.match] if self.match else []), *(key for key in self.table.unique if self.packs(key))]

    def column(self, called: str) -> Column:
        """A column of the target's table."""
        return next(column for column in self.table.columns if column.name == called)

    def place(self, called: str) -> int:
        """Where a packaged column stands."""
        return [column.name for column in self.packed.packed_columns].index(called)

    def packs(self, names: Sequence[str]) -> bool:
        """Whether all of these columns are in the package."""
        return set(names) <= {column.name for column in self.packed.packed_columns}

    def packed_text(self, called: str, alias: str = "s") -> str:
        """What a column says in the package, as a text."""
        value = f"{alias}.v{self.place(called)}"
        return value if called in self.moving else as_text(self.column(called), value)

    def given(self, called: str, alias: str = "s") -> str:
        """What a column says when it comes into the target."""
        return f"{alias}.{'w' if called in self.moving else 'v'}{self.place(called)}"

    def final(self, called: str, alias: str = "s") -> str:
        """The value that a column has in the target."""
        if called in self.table.primary_key:
            return f"{alias}.k{self.table.primary_key.index(called)}"
        return self.given(called, alias)

    def same(self, real: str = "t", alias: str = "s") -> str:
        """A row of the target and a row on its way have the same key."""
        return " and ".join([f"{real}.{name(c.name)} = {self.final(c.name, alias)}" for c in self.key])

    def check(self) -> None:
        """Invalid when a row could have no key."""
        if not self.generates and not self.packs(self.table.primary_key):
            lacking = [c for c in self.table.primary_key if not self.packs((c,))]
            raise Invalid(f"The package does not hold '{lacking[0]}', which is in the key of table '{self.name}'")
        if not self.packs(self.match):
            raise Invalid(f"The package does not hold all of the match key of table '{self.name}'")

    def count_refused(self, reason: str) -> None:
        """Invalid when so many rows were refused one by one that something else is wrong than rows."""
        self.refused += 1
        if self.refused > MOST_REFUSED:
            raise Invalid(f"More than {MOST_REFUSED} rows of {self.name} fail; the last: {reason}")

    async def make(self, session: Session) -> None:
        """Makes the temporary tables."""
        members = ["line bigint primary key", f"source_key {TEXT}", "source_hash binary(16)"]
        members += ["found tinyint not null default 0", "changed tinyint not null default 0", f"failed {TEXT}"]
        for place, column in enumerate(self.columns):
            moves = column.name in self.moving
            members.append(f"v{place} {TEXT if moves else self.types[column.name]}")
            members += [f"w{place} {self.types[column.name]}"] if moves else []
        members += [f"k{place} {self.types[column.name]}" for place, column in enumerate(self.key)]
        await session.execute(f"create temporary table {self.temporary} ({', '.join(members)}) engine = innodb")
        for reference in self.references:
            await self.make_map(session, reference)

    async def make_map(self, session: Session, reference: Reference) -> None:
        """Makes the table that says what a reference becomes."""
        called = [f"q{place}" for place in range(len(reference.key.columns))]
        columns = [self.column(column) for column in reference.key.columns]
        values = [f"{q} {self.types[column.name]}" for q, column in zip(called, columns, strict=True)]
        index = ", ".join(indexed(column, q) for q, column in zip(called, columns, strict=True))
        await session.execute(
            f"""create temporary table {reference.temporary} (
                  h binary(16) primary key, line bigint, gone tinyint not null default 0, {", ".join(values)},
                  index (line), index ({index})) engine = innodb"""
        )


def connected(stages: Mapping[str, Stage], catalog: Mapping[str, Table], order: Sequence[str]) -> None:
    """Finds what the rows of each stage refer to, and which columns are others in the target than in the package."""
    numbers = count()
    for stage in stages.values():
        for key, is_real in keys_of(stage):
            if not stage.packs(key.columns) or not is_known(key, catalog):
                continue
            parent = stages.get(key.referenced_table)
            if parent is not None and not parent.packs(key.referenced_columns):
                parent = None
            is_late = parent is not None and order.index(parent.name) >= order.index(stage.name)
            stage.references.append(Reference(f"rollbook_map_{next(numbers)}", key, parent, is_real, is_late))
    for stage in stages.values():
        own = stage.generates or stage.unique
        stage.moving = {c for c in stage.table.primary_key if own and stage.packs((c,))}
    while sum([spread(stage, catalog) for stage in stages.values()]):
        pass


def keys_of(stage: Stage) -> list[tuple[ForeignKey, bool]]:
    """The target's own references first; of the package's only those that the target does not know."""
    known = {(key.columns, key.referenced_table) for key in stage.table.foreign_keys}
    told = [key for key in stage.packed.foreign_keys if (key.columns, key.referenced_table) not in known]
    return [*((key, True) for key in stage.table.foreign_keys), *((key, False) for key in told)]


def is_known(key: ForeignKey, catalog: Mapping[str, Table]) -> bool:
    """Whether what is referred to is there in the target: names in packages may be invented."""
    table = catalog.get(key.referenced_table)
    if table is None or len(key.columns) != len(key.referenced_columns):
        return False
    return set(key.referenced_columns) <= {column.name for column in table.columns}


def spread(stage: Stage, catalog: Mapping[str, Table]) -> int:
    """Columns that refer to columns that move do move; answers how many were found."""
    before = len(stage.moving)
    for reference in stage.references:
        taken = {c for other in stage.references if other is not reference for c in other.moved}
        pairs = zip(reference.key.columns, reference.key.referenced_columns, strict=True)
        moved = [child for child, parent in pairs if child not in taken and is_moving(reference, parent, catalog)]
        reference.moved = tuple(moved)
        stage.moving |= set(moved)
    return len(stage.moving) - before


def is_moving(reference: Reference, column: str, catalog: Mapping[str, Table]) -> bool:
    """Whether a column that is referred to has other values in the target."""
    if reference.parent is not None:
        return column in reference.parent.moving
    table = catalog[reference.key.referenced_table]
    return table.strategy is KeyStrategy.AUTO_INCREMENT and table.primary_key == (column,)
