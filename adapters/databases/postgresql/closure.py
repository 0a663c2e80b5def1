"""Which rows are in a package: those that were chosen, the rows that they need, and on request those that need them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.masking import masks_of
from adapters.databases.postgresql.quoting import clause, columns, table_name
from adapters.databases.where.postgresql import where
from application.ports.databases import Selection
from domain.dataset import ForeignKey, Table
from domain.errors import Invalid

SELECTED = "selected"


class Closure:
    """Rows by where they lie (table part and ctid, which hold within one snapshot), in a temporary table a table."""

    def __init__(self, connection: AsyncConnection[Any], catalog: Mapping[str, Table], selection: Selection) -> None:
        self.connection = connection
        self.catalog = catalog
        self.selection = selection
        self.check()
        self.keys = [*(k for t in catalog.values() for k in t.foreign_keys), *selection.virtual_foreign_keys]
        self.reached = self.reachable()
        self.numbers = {name: number for number, name in enumerate(self.reached)}
        self.masks = {n: masks_of(self.packed(n).packed_columns, selection.masks.get(n, {})) for n in self.reached}

    def check(self) -> None:
        """Invalid names what is not there."""
        wanted = [*self.selection.tables, *self.selection.where, *self.selection.exclude, *self.selection.masks]
        keys = self.selection.virtual_foreign_keys
        for name in [*wanted, *(t for key in keys for t in (key.table, key.referenced_table))]:
            if name not in self.catalog:
                raise Invalid(f"There is no table '{name}'")
        named = [*self.selection.exclude.items(), *self.selection.masks.items(), *self.selection.match_keys.items()]
        named += [
            pair for key in keys for pair in ((key.table, key.columns), (key.referenced_table, key.referenced_columns))
        ]
        for table, members in named:
            known = {column.name for column in self.catalog[table].columns}
            if unknown := sorted(set(members) - known):
                raise Invalid(f"There is no column '{unknown[0]}' in table '{table}'")
        for table, members in self.selection.exclude.items():
            if lost := sorted(members & set(self.catalog[table].primary_key)):
                raise Invalid(f"The column '{lost[0]}' is in the key of table '{table}', and cannot be left out")

    def reachable(self) -> list[str]:
        """The tables that may have rows in the package."""
        found = list(dict.fromkeys(self.selection.tables))
        for name in found:
            found += [parent for parent in self.neighbours(name) if parent not in found]
        return found

    def neighbours(self, name: str) -> list[str]:
        """Where rows of a table may lead."""
        up = [k.referenced_table for k in self.keys if k.table == name] if self.selection.include_parent else []
        down = [k.table for k in self.keys if k.referenced_table == name] if self.selection.include_related else []
        return list(dict.fromkeys(up + down))

    async def prepare(self) -> None:
        """Makes the temporary tables; the last thing that writes anything anywhere."""
        for number in self.numbers.values():
            make = sql.SQL(
                """create temporary table {} (part oid, place tid, round int, reason text, primary key (part, place))
                   on commit drop"""
            )
            await self.connection.execute(make.format(chosen(number)))

    async def complete(self) -> None:
        """Fills them: first what the user chose, then round after round what belongs to it."""
        for name in self.selection.tables:
            await self.choose(name)
        up = [k for k in self.keys if self.selection.include_parent and self.is_followed(k)]
        down = [k for k in self.keys if self.selection.include_related and self.is_followed(k)]
        number = 0
        while True:
            added = sum([await self.follow_up(key, number) for key in up])
            if number < self.selection.max_depth:
                added += sum([await self.follow_down(key, number) for key in down])
            if not added:
                return
            number += 1

    def is_followed(self, key: ForeignKey) -> bool:
        """Whether both ends are tables that may have rows here."""
        return key.table in self.numbers and key.referenced_table in self.numbers

    async def choose(self, name: str) -> None:
        """What the user's where clause chooses of a table; without one, everything."""
        table, text = self.catalog[name], self.selection.where.get(name)
        known = frozenset(column.name for column in table.columns)
        condition = clause(where(text, table.name, known), "t") if text else sql.SQL("true")
        query = sql.SQL("insert into {} select t.tableoid, t.ctid, 0, {} from {} t where {}")
        parts = (chosen(self.numbers[name]), sql.Literal(SELECTED), table_name(table), condition)
        await self.connection.execute(query.format(*parts))

    async def follow_up(self, key: ForeignKey, number: int) -> int:
        """The rows that those of the last round refer to."""
        return await self.follow(key, key.table, key.referenced_table, number, f"referred to by {key.table}")

    async def follow_down(self, key: ForeignKey, number: int) -> int:
        """The rows that refer to those of the last round."""
        return await self.follow(key, key.referenced_table, key.table, number, f"refers to {key.referenced_table}")

    async def follow(self, key: ForeignKey, start: str, end: str, number: int, reason: str) -> int:
        """One step along a reference; answers how many rows it added."""
        same = [
            sql.SQL("c.{} = p.{}").format(sql.Identifier(child), sql.Identifier(parent))
            for child, parent in zip(key.columns, key.referenced_columns, strict=True)
        ]
        here, there = ("c", "p") if start == key.table else ("p", "c")
        query = sql.SQL(
            """insert into {target}
               select distinct {there}.tableoid, {there}.ctid, {next}, {reason}
                 from {origin} s join {child} c on true join {parent} p on {same}
                where s.round = {number} and {here}.tableoid = s.part and {here}.ctid = s.place
               on conflict do nothing"""
        ).format(
            target=chosen(self.numbers[end]),
            origin=chosen(self.numbers[start]),
            child=table_name(self.catalog[key.table]),
            parent=table_name(self.catalog[key.referenced_table]),
            same=sql.SQL(" and ").join(same),
            next=number + 1,
            reason=reason,
            number=number,
            here=sql.Identifier(here),
            there=sql.Identifier(there),
        )
        return (await self.connection.execute(query)).rowcount

    @property
    def tables(self) -> Sequence[Table]:
        """The tables as they are packed, parents first as far as there are no cycles."""
        return [self.packed(name) for name in ordered(self.reached, self.keys)]

    def packed(self, name: str) -> Table:
        """A table without the columns that are left out, and with the references that the user declared."""
        table, left_out = self.catalog[name], self.selection.exclude.get(name, frozenset())
        kept = tuple(c for c in table.columns if c.name not in left_out)
        declared = tuple(k for k in self.selection.virtual_foreign_keys if k.table == name)
        return replace(table, columns=kept, foreign_keys=table.foreign_keys + declared)

    async def reasons(self, name: str) -> Mapping[str, int]:
        """How many rows are in for which reason."""
        query = sql.SQL("select reason, count(*) from {} group by reason order by reason")
        found = await self.connection.execute(query.format(chosen(self.numbers[name])))
        return {reason: int(count) for reason, count in await found.fetchall()}

    def lines(self, name: str) -> sql.Composed:
        """The query for the rows of a table, each as one line of JSON, by primary key."""
        table = self.packed(name)
        values = [sql.SQL("{}::text").format(sql.Identifier("t", c.name)) for c in table.packed_columns]
        order = columns("t", table.primary_key) if table.primary_key else sql.SQL("s.part, s.place")
        query = sql.SQL(
            """select to_json(array[{}]::text[])::text from {} s
                 join {} t on t.tableoid = s.part and t.ctid = s.place order by {}"""
        )
        return query.format(sql.SQL(", ").join(values), chosen(self.numbers[name]), table_name(table), order)


def chosen(number: int) -> sql.Identifier:
    """The temporary table of the rows that are in."""
    return sql.Identifier(f"rollbook_chosen_{number}")


def ordered(names: Sequence[str], keys: Sequence[ForeignKey]) -> list[str]:
    """Parents before children; tables in a cycle in the order of their names' mention."""
    graph = {
        name: {k.referenced_table for k in keys if k.table == name and k.referenced_table in names} - {name}
        for name in names
    }
    while True:
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as cycle:
            first, second = cycle.args[1][:2]
            graph[second].discard(first)
