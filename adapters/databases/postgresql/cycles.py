"""Foreign keys in a circle: none of the tables can be first, and still every key is checked before the end."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.facts import Facts
from adapters.databases.postgresql.quoting import table_name
from adapters.databases.postgresql.staging import Stage
from domain.dataset import ForeignKey, Table
from domain.errors import Invalid

DEFERRABLE = """
select condeferrable from pg_constraint where conrelid = %s::int8::oid and conname = %s and contype = 'f'
"""


@dataclass(frozen=True, slots=True)
class Edge:
    """A reference from a table to one that is not written before it."""

    table: Table
    facts: Facts
    key: ForeignKey

    @property
    def constraint(self) -> sql.Identifier:
        """The constraint in its schema."""
        return sql.Identifier(self.table.schema, self.key.name)

    def alter(self, how: str) -> sql.Composed:
        """A change of the constraint."""
        query = sql.SQL("alter table {} alter constraint {} {}")
        return query.format(table_name(self.table), sql.Identifier(self.key.name), sql.SQL(how))


def edges(tables: Mapping[str, Table], facts: Mapping[str, Facts], own_too: bool) -> list[Edge]:
    """The references that close circles, when the tables are written in this order; to itself a table refers freely
    as long as it is written at once."""
    order = {name: number for number, name in enumerate(tables)}
    return [
        Edge(table, facts[name], key)
        for name, table in tables.items()
        for key in table.foreign_keys
        if (other := order.get(key.referenced_table)) is not None
        and (other > order[name] or (own_too and other == order[name]))
    ]


async def postpone(connection: AsyncConnection[Any], found: Sequence[Edge], stages: Mapping[str, Stage]) -> list[Edge]:
    """Puts the checks off until `check_now`. Answers what must be put back: the constraints that only stand so here.
    Where we may not, a reference that may be null waits for a second step."""
    altered = []
    for edge in found:
        row = await (await connection.execute(DEFERRABLE, [edge.facts.oid, edge.key.name])).fetchone()
        if row and row[0]:
            await connection.execute(sql.SQL("set constraints {} deferred").format(edge.constraint))
        elif row and edge.facts.is_owned:
            await connection.execute(edge.alter("deferrable initially deferred"))
            altered.append(edge)
        else:
            wait(edge, stages)
    return altered


def wait(edge: Edge, stages: Mapping[str, Stage]) -> None:
    """Lets a reference be null at first; Invalid when it may not be."""
    stage = stages.get(edge.key.table)
    able = {column.name for column in edge.table.columns if column.is_nullable}
    if stage is None or not able & set(edge.key.columns) - set(stage.key) or not stage.key:
        raise Invalid(
            f"'{edge.key.name}' of '{edge.key.table}' closes a circle of foreign keys, which only the owner can load"
        )
    stage.late.add(sorted(able & set(edge.key.columns) & set(stage.names) - set(stage.key))[0])


@asynccontextmanager
async def postponed(
    connection: AsyncConnection[Any], found: Sequence[Edge], stages: Mapping[str, Stage]
) -> AsyncIterator[None]:
    """Circles are open within, and closed again after it; everything is checked by then."""
    altered = await postpone(connection, found, stages)
    yield
    await connection.execute("set constraints all immediate")
    for edge in altered:
        await connection.execute(edge.alter("not deferrable"))
