"""What a package holds, described: tables or collections, their columns, keys and references."""

from collections.abc import Set
from dataclasses import dataclass, replace
from enum import StrEnum


class DatabaseKind(StrEnum):
    """The kinds of database that packages move between; a package is deployed to the kind that it came from."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    MONGODB = "mongodb"


class KeyStrategy(StrEnum):
    """Where the keys of deployed rows come from: two ways in which the target makes new ones, or as they were."""

    AUTO_INCREMENT = "auto_increment"
    SEQUENCE = "sequence"
    PRESERVE = "preserve"


@dataclass(frozen=True, slots=True)
class Column:
    """`data_type` is as the source's catalog writes it; `max_length` is None without a limit.

    A generated column is described and never packed.
    """

    name: str
    data_type: str
    is_primary_key: bool = False
    is_foreign_key: bool = False
    is_nullable: bool = True
    max_length: int | None = None
    is_generated: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """References that rows of `table` make. A virtual one is none of the database's: the user declared it."""

    name: str
    table: str
    columns: tuple[str, ...]
    referenced_table: str
    referenced_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    virtual: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a collection. `unique` has the columns of each UNIQUE constraint; `sequence` makes generated keys."""

    name: str
    schema: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    strategy: KeyStrategy = KeyStrategy.PRESERVE
    sequence: str | None = None

    @property
    def packed_columns(self) -> tuple[Column, ...]:
        """The columns whose values are in the package, in their order there."""
        return tuple(c for c in self.columns if not c.is_generated)

    def without(self, names: Set[str]) -> "Table":
        """The table as it is without some columns: what they referred to, or told apart, is not known of it either."""
        return replace(
            self,
            columns=tuple(c for c in self.columns if c.name not in names),
            foreign_keys=tuple(k for k in self.foreign_keys if names.isdisjoint(k.columns)),
            unique=tuple(u for u in self.unique if names.isdisjoint(u)),
        )
