"""Which rows are in a package: those that were chosen, the rows that they need, and on request those that need them."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.ordering import ordered
from adapters.databases.postgresql.exact import Exactness, exactness
from adapters.databases.postgresql.masking import masks_of
from adapters.databases.postgresql.others import divided
from adapters.databases.postgresql.quoting import clause, columns, table_name
from adapters.databases.where.postgresql import where
from application.ports.databases import Selection
from domain.dataset import ForeignKey, Table
from domain.errors import Invalid

SELECTED = "selected"


class Closure:
    """Rows by where they lie (table part and ctid, which hold within one snapshot), in a temporary table a table.

    Of tables that are in as a whole nothing needs to be written down.
    """

    def __init__(self, connection: AsyncConnection[Any], catalog: Mapping[str, Table], selection: Selection) -> None:
        self.connection = connection
        self.catalog = catalog
        self.selection = selection
        self.divided: Set[str] = frozenset()
        self.exactness = Exactness({}, frozenset())
        self.whole = {name for name in selection.tables if name not in selection.where}
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

    @property
    def places(self) -> Sequence[sql.Identifier]:
        """The temporary tables."""
        return [chosen(number) for name, number in self.numbers.items() if name not in self.whole]

    async def prepare(self) -> None:
        """Makes the temporary tables; the last thing that writes anything anywhere."""
        self.divided = await divided(self.connection)
        self.exactness = await exactness(self.connection)
        for place in self.places:
            make = sql.SQL(
                """create temporary table {} (part oid, place tid, round int, reason text, primary key (part, place))
                   on commit drop"""
            )
            await self.connection.execute(make.format(place))

    async def complete(self) -> None:
        """Fills them: first what the user chose, then round after round what belongs to it."""
        for name in self.selection.tables:
            if name not in self.whole:
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
        """What the user's where clause chooses of a table."""
        table = self.catalog[name]
        known = frozenset(column.name for column in table.columns)
        condition = clause(where(self.selection.where[name], table.name, known), "t")
        query = sql.SQL("insert into {} select t.tableoid, t.ctid, 0, {} from {} t where {}")
        parts = (chosen(self.numbers[name]), sql.Literal(SELECTED), self.own_rows(name), condition)
        await self.connection.execute(query.format(*parts))

    async def follow_up(self, key: ForeignKey, number: int) -> int:
        """The rows that those of the last round refer to."""
        return await self.follow(key, key.table, key.referenced_table, number, f"referred to by {key.table}")

    async def follow_down(self, key: ForeignKey, number: int) -> int:
        """The rows that refer to those of the last round."""
        return await self.follow(key, key.referenced_table, key.table, number, f"refers to {key.referenced_table}")

    async def follow(self, key: ForeignKey, start: str, end: str, number: int, reason: str) -> int:
        """One step along a reference; answers how many rows it added."""
        if end in self.whole or (start in self.whole and number > 0):
            return 0
        there = sql.Identifier("p" if start == key.table else "c")
        query = sql.SQL(
            """insert into {target} select distinct {there}.tableoid, {there}.ctid, {next}, {reason} from {pairs}
               on conflict do nothing"""
        )
        facts = {"target": chosen(self.numbers[end]), "there": there, "next": sql.Literal(number + 1)}
        facts |= {"reason": sql.Literal(reason), "pairs": self.pairs(key, start, number)}
        return (await self.connection.execute(query.format(**facts))).rowcount

    def pairs(self, key: ForeignKey, start: str, number: int) -> sql.Composed:
        """Rows `c` with those `p` that they refer to, where the one at the start came in the last round."""
        pairs = zip(key.columns, key.referenced_columns, strict=True)
        same = [
            sql.SQL("p.{} {} c.{}").format(
                sql.Identifier(parent), self.exactness.same(key.table, key.name, place), sql.Identifier(child)
            )
            for place, (child, parent) in enumerate(pairs)
        ]
        tables = (self.own_rows(key.table), self.own_rows(key.referenced_table))
        joined = sql.SQL("{} c join {} p on {}").format(*tables, sql.SQL(" and ").join(same))
        if start in self.whole:
            return joined
        here = sql.Identifier("c" if start == key.table else "p")
        query = sql.SQL("{} join {} s on s.round = {} and {here}.tableoid = s.part and {here}.ctid = s.place")
        return query.format(joined, chosen(self.numbers[start]), sql.Literal(number), here=here)

    @property
    def tables(self) -> Sequence[Table]:
        """The tables as they are packed, parents first as far as there are no cycles."""
        return [self.packed(name) for name in ordered(self.reached, self.keys)]

    def packed(self, name: str) -> Table:
        """A table without the columns that are left out, and with the references that the user declared."""
        table, left_out = self.catalog[name], self.selection.exclude.get(name, frozenset())
        declared = tuple(k for k in self.selection.virtual_foreign_keys if k.table == name)
        return replace(table, foreign_keys=table.foreign_keys + declared).without(left_out)

    def own_rows(self, name: str) -> sql.Composed:
        """Where the rows of a table are read: those of tables that inherit from it are their own, those of parts are
        its."""
        return sql.SQL("{}" if name in self.divided else "only {}").format(table_name(self.catalog[name]))

    def noted(self, name: str) -> sql.Composable:
        """Where the rows of a table that are in can be counted."""
        return self.own_rows(name) if name in self.whole else chosen(self.numbers[name])

    async def reasons(self, name: str) -> Mapping[str, int]:
        """How many rows are in for which reason."""
        query = sql.SQL("select reason, count(*) from {} group by reason order by reason")
        of = query.format(chosen(self.numbers[name])) if name not in self.whole else self.counted(name)
        return {reason: int(count) for reason, count in await (await self.connection.execute(of)).fetchall()}

    def counted(self, name: str) -> sql.Composed:
        """The query for how many rows a whole table has."""
        query = sql.SQL("select {}, count(*) from {} having count(*) > 0")
        return query.format(sql.Literal(SELECTED), self.own_rows(name))

    def lines(self, name: str) -> sql.Composed:
        """The query for the rows of a table, each as one line of JSON, by primary key."""
        table = self.packed(name)
        values = [self.exactness.text(name, column.name) for column in table.packed_columns]
        order = columns("t", table.primary_key) if table.primary_key else sql.SQL("t.tableoid, t.ctid")
        rows = sql.SQL("{} t").format(self.own_rows(name))
        if name not in self.whole:
            place = sql.SQL("{} s join {} on t.tableoid = s.part and t.ctid = s.place")
            rows = place.format(chosen(self.numbers[name]), rows)
        query = sql.SQL("select to_json(array[{}]::text[])::text from {} order by {}")
        return query.format(sql.SQL(", ").join(values), rows, order)


def chosen(number: int) -> sql.Identifier:
    """The temporary table of the rows that are in."""
    return sql.Identifier(f"rollbook_chosen_{number}")
