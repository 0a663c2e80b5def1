"""Which rows are in a package: those that were chosen, the rows that they need, and on request those that need them.

Without the latter two the user's condition says it all. Else keys are collected in temporary tables: `chosen` holds
all of a table, two others by turns those of the last round and of the next, since MySQL opens each only once a query.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.databases.mysql.catalog import read_types
from adapters.databases.mysql.choosing import Choice
from adapters.databases.mysql.masking import masks_of
from adapters.databases.mysql.quoting import as_text, clause, columns_of, digest, family, is_bytes, literal, name
from adapters.databases.mysql.session import Refused, Session
from adapters.databases.where.mysql import where
from domain.dataset import Column, ForeignKey, Table
from domain.errors import Invalid

SELECTED = "selected"
LONG = frozenset({"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob"})
LONGEST_KEY = 700
NO_TEMPORARY = 1044


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of one table are told apart: by a short primary key, else by all that they hold."""

    number: int
    table: Table
    types: Mapping[str, str]

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns of the primary key; none when rows are told apart by all that they hold."""
        found = [column for column in self.table.columns if column.name in self.table.primary_key]
        found.sort(key=lambda column: self.table.primary_key.index(column.name))
        is_long = any(family(column) in LONG for column in found)
        return () if is_long or sum(column.max_length or 0 for column in found) > LONGEST_KEY else tuple(found)

    @property
    def places(self) -> list[str]:
        """The columns of our own tables that tell a row."""
        return [f"k{place}" for place in range(len(self.key) or 1)]

    def definition(self) -> str:
        """The columns of our own tables."""
        kinds = [self.types[c.name].removesuffix(" null default null") for c in self.key] or ["binary(16)"]
        members = [f"{place} {kind} not null" for place, kind in zip(self.places, kinds, strict=True)]
        return ", ".join([*members, "reason varchar(300)", f"primary key ({', '.join(self.places)})"])

    def told(self, alias: str) -> list[str]:
        """What tells a row of the table."""
        if self.key:
            return columns_of(alias, self.key)
        every = self.table.packed_columns
        return [digest(every, columns_of(alias, every))]

    def same(self, alias: str, ours: str) -> str:
        """A row of the table is a row of ours."""
        pairs = zip(self.told(alias), self.places, strict=True)
        return " and ".join([f"{value} = {ours}.{place}" for value, place in pairs])


class Closure:
    """The rows of a selection within one snapshot."""

    def __init__(self, session: Session, choice: Choice) -> None:
        self.session = session
        self.choice = choice
        self.reached = choice.reached()
        self.rows: dict[str, Rows] = {}
        told = choice.selection.masks
        self.masks = {table.name: masks_of(table.packed_columns, told.get(table.name, {})) for table in self.tables}
        self.bytes = {
            table.name: [place for place, column in enumerate(table.packed_columns) if is_bytes(column)]
            for table in self.tables
        }

    @property
    def tables(self) -> Sequence[Table]:
        """The tables as they are packed, parents first as far as there are no cycles."""
        return [self.choice.packed(table) for table in self.reached]

    async def prepare(self) -> None:
        """Makes the temporary tables; the last thing that writes anything anywhere, and before the snapshot."""
        for number, table in enumerate(self.reached):
            self.rows[table] = Rows(number, self.choice.catalog[table], await read_types(self.session, table))
        if not self.choice.is_closed:
            return
        try:
            for rows in self.rows.values():
                for called in (chosen(rows), turn(rows, 0), turn(rows, 1)):
                    await self.session.execute(f"create temporary table {called} ({rows.definition()}) engine = innodb")
        except Refused as problem:
            if problem.number == NO_TEMPORARY:
                raise Invalid("To follow references, the source's user needs CREATE TEMPORARY TABLES") from None
            raise

    async def complete(self) -> None:
        """Fills them: first what the user chose, then round after round what belongs to it."""
        if not self.choice.is_closed:
            return
        for table in dict.fromkeys(self.choice.selection.tables):
            await self.choose(self.rows[table])
        up = [key for key in self.choice.keys if self.choice.selection.include_parent and self.is_followed(key)]
        down = [key for key in self.choice.keys if self.choice.selection.include_related and self.is_followed(key)]
        number = 0
        while await self.keep(number):
            for key in up:
                await self.follow(key, key.table, key.referenced_table, number, f"referred to by {key.table}")
            for key in down if number < self.choice.selection.max_depth else []:
                await self.follow(key, key.referenced_table, key.table, number, f"refers to {key.referenced_table}")
            number += 1

    def is_followed(self, key: ForeignKey) -> bool:
        """Whether both ends are tables that may have rows here."""
        return key.table in self.rows and key.referenced_table in self.rows

    async def keep(self, number: int) -> int:
        """Begins a round: what the last one found is in; answers how many rows that is."""
        added = 0
        for rows in self.rows.values():
            await self.session.execute(f"delete from {turn(rows, number + 1)}")
            added += await self.session.execute(f"insert into {chosen(rows)} select * from {turn(rows, number)}")
        return added

    def condition(self, table: str) -> str:
        """The user's where clause on rows `t`; without one, everything. Beside a closure only of chosen tables."""
        if (text := self.choice.selection.where.get(table)) is None:
            return "true"
        found = self.choice.catalog[table]
        return clause(where(text, table, frozenset(column.name for column in found.columns)), "t")

    async def choose(self, rows: Rows) -> None:
        """What the user's where clause chooses of a table."""
        await self.session.execute(
            f"""insert into {turn(rows, 0)} select distinct {", ".join(rows.told("t"))}, '{SELECTED}'
                  from {name(rows.table.name)} t where {self.condition(rows.table.name)}"""
        )

    async def follow(self, key: ForeignKey, start: str, end: str, number: int, reason: str) -> None:
        """One step along a reference, to rows that are not in yet."""
        here, there = ("c", "p") if start == key.table else ("p", "c")
        pairs = zip(key.columns, key.referenced_columns, strict=True)
        same = " and ".join([f"c.{name(child)} = p.{name(parent)}" for child, parent in pairs])
        origin, target = self.rows[start], self.rows[end]
        known = f"select 1 from {chosen(target)} x where {target.same(there, 'x')}"
        found = ", ".join(target.told(there))
        # Two references may lead to one row in one round: the second one finds it there.
        await self.session.execute(
            f"""insert ignore into {turn(target, number + 1)} select distinct {found}, {literal(reason[:300])}
                  from {turn(origin, number)} s straight_join {name(start)} {here} on {origin.same(here, "s")}
                  join {name(end)} {there} on {same} where not exists ({known})"""
        )

    async def reasons(self, table: str) -> Mapping[str, int]:
        """How many rows are in for which reason."""
        if not self.choice.is_closed:
            query = f"select '{SELECTED}', count(*) from {name(table)} t where {self.condition(table)}"
        else:
            query = f"select s.reason, count(*) from {self.origin(table)} group by s.reason order by s.reason"
        return {reason: int(count) for reason, count in await self.session.rows(query) if count}

    def noted(self, table: str) -> str:
        """Where the rows of a table that are in can be counted."""
        return chosen(self.rows[table]) if self.choice.is_closed else self.origin(table)

    def origin(self, table: str) -> str:
        """Where the rows `t` of a table come from."""
        rows = self.rows[table]
        if not self.choice.is_closed:
            return f"{name(table)} t where {self.condition(table)}"
        return f"{chosen(rows)} s straight_join {name(table)} t on {rows.same('t', 's')}"

    def lines(self, table: str) -> str:
        """The query for the rows of a table, every value as text or as bytes, by primary key."""
        rows, columns = self.rows[table], self.choice.packed(table).packed_columns
        told = zip(columns, columns_of("t", columns), strict=True)
        values = ", ".join(value if is_bytes(column) else as_text(column, value) for column, value in told)
        primary = [f"t.{name(column)}" for column in rows.table.primary_key]
        order = [f"s.{place}" for place in rows.places] if rows.key and self.choice.is_closed else primary
        by = f" order by {', '.join(order)}" if order else ""
        return f"select {values} from {self.origin(table)}{by}"


def chosen(rows: Rows) -> str:
    """The temporary table of the rows that are in."""
    return f"rollbook_chosen_{rows.number}"


def turn(rows: Rows, number: int) -> str:
    """The temporary table of the rows that a round found."""
    return f"rollbook_turn_{rows.number}_{number % 2}"
