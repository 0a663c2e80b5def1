"""What a selection asks for, held against the catalog: unknown names are refused, references are found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.databases.ordering import ordered
from application.ports.databases import Selection
from domain.dataset import ForeignKey, Table
from domain.errors import Invalid


@dataclass(frozen=True, slots=True)
class Choice:
    """A selection of tables that are there."""

    catalog: Mapping[str, Table]
    selection: Selection

    def __post_init__(self) -> None:
        chosen = self.selection
        for name in [*chosen.tables, *chosen.where, *chosen.exclude, *chosen.masks, *chosen.match_keys]:
            self.table(name)
        for pairs in (chosen.exclude.items(), chosen.masks.items(), chosen.match_keys.items()):
            for name, members in pairs:
                self.check(name, members)
        for key in chosen.virtual_foreign_keys:
            self.check(key.table, key.columns)
            self.check(key.referenced_table, key.referenced_columns)
            if not key.columns or len(key.columns) != len(key.referenced_columns):
                raise Invalid(f"The reference '{key.name}' does not have as many columns on both sides")

    def table(self, name: str) -> Table:
        """A table; Invalid when there is none of this name."""
        if (found := self.catalog.get(name)) is None:
            raise Invalid(f"There is no table '{name}'")
        return found

    def check(self, name: str, columns: Iterable[str]) -> None:
        """Invalid names a column that the table lacks."""
        known = {column.name for column in self.table(name).columns}
        if unknown := sorted(set(columns) - known):
            raise Invalid(f"There is no column '{unknown[0]}' in table '{name}'")

    @property
    def keys(self) -> list[ForeignKey]:
        """Every reference, those of the database and those that the user declared."""
        return [*(k for t in self.catalog.values() for k in t.foreign_keys), *self.selection.virtual_foreign_keys]

    @property
    def is_closed(self) -> bool:
        """Whether rows of other tables come along."""
        return self.selection.include_parent or self.selection.include_related

    def reached(self) -> Sequence[str]:
        """The tables that may have rows in the package, parents first as far as there are no cycles."""
        found = list(dict.fromkeys(self.selection.tables))
        for name in found:
            found += [other for other in self.neighbours(name) if other not in found]
        return ordered(found, self.keys)

    def neighbours(self, name: str) -> list[str]:
        """Where rows of a table may lead."""
        up = [k.referenced_table for k in self.keys if k.table == name] if self.selection.include_parent else []
        down = [k.table for k in self.keys if k.referenced_table == name] if self.selection.include_related else []
        return list(dict.fromkeys(up + down))

    def packed(self, name: str) -> Table:
        """A table without the columns that are left out, and with the references that the user declared."""
        table, left_out = self.catalog[name], self.selection.exclude.get(name, frozenset())
        declared = tuple(k for k in self.selection.virtual_foreign_keys if k.table == name)
        return replace(table, foreign_keys=table.foreign_keys + declared).without(left_out)
