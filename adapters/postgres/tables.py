"""The tables of read models: making them, loading open rows, writing versions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, LiteralString

import orjson
from psycopg import AsyncConnection, sql

from adapters.postgres.filing import filed
from adapters.postgres.intervals import fork_of
from projections.read_model import STILL, ReadModel, Row, table

SCHEMA = "rollbook_views"
GUARDS: tuple[LiteralString, ...] = (
    "alter table {} enable row level security",
    """create policy own_organisation on {} for select to rollbook_reader
       using (organisation = current_setting('rollbook.organisation', true))""",
    "grant select on {} to rollbook_reader",
)


@dataclass(frozen=True, slots=True)
class RowVersion:
    """A row as it was from one position (that of a whole commit) up to, not including, another."""

    key: str
    organisation: str
    from_position: int
    to_position: int
    row: Row


def named(name: str) -> sql.Identifier:
    """A table of ours."""
    return sql.Identifier(SCHEMA, name)


async def create(connection: AsyncConnection[Any], model: ReadModel, name: str) -> None:
    """Makes the table with its key, unless it is there; a reader sees its own organisation only."""
    if await exists(connection, name):
        return
    columns = sql.SQL("").join(
        sql.SQL("{} {}, ").format(sql.Identifier(c), sql.SQL(t)) for c, t in model.columns.items()
    )
    statement = sql.SQL(
        """create table {} (
             key text collate "C" not null, organisation text collate "C" not null,
             from_position bigint not null, to_position bigint not null, fork bigint not null, {}
             document text not null, primary key (key, from_position))"""
    )
    # Whole or not at all: who reads meanwhile must neither see an unguarded table nor miss rows behind no policy.
    async with connection.transaction():
        await connection.execute(statement.format(named(name), columns))
        for step in GUARDS:
            await connection.execute(sql.SQL(step).format(named(name)))


async def exists(connection: AsyncConnection[Any], name: str) -> bool:
    """Whether the table is there; it never is without its guard."""
    cursor = await connection.execute("select to_regclass(%s) is not null", [f"{SCHEMA}.{name}"])
    return await cursor.fetchone() == (True,)


async def lacking(connection: AsyncConnection[Any], models: Sequence[ReadModel]) -> list[ReadModel]:
    """Those whose table, or one of whose indexes, is missing."""
    parts = [(table(m), part) for m in models for part in (table(m), *(f"{table(m)}_{suffix}" for suffix in m.indexes))]
    query = "select name from unnest(%s::text[], %s::text[]) t (name, part) where to_regclass(%s || part) is null"
    columns = [list(column) for column in zip(*parts, strict=True)]
    missing = await (await connection.execute(query, [*columns, f"{SCHEMA}."])).fetchall()
    return [model for model in models if (table(model),) in missing]


async def index(connection: AsyncConnection[Any], model: ReadModel, name: str) -> None:
    """Makes the indexes that queries need; after a rebuild, when the rows are there."""
    for suffix, definition in model.indexes.items():
        statement = sql.SQL("create index if not exists {} on {} using {}")
        index_name = sql.Identifier(f"{name}_{suffix}")
        await connection.execute(statement.format(index_name, named(name), sql.SQL(definition)))


async def open_rows(connection: AsyncConnection[Any], name: str, keys: list[str]) -> dict[str, tuple[int, Row]]:
    """The present rows of these keys, with the position since which each is valid."""
    cursor = await connection.execute(reading(name), [keys, STILL], binary=True)
    return {key: (since, orjson.loads(document)) for key, since, document in await cursor.fetchall()}


async def close_rows(connection: AsyncConnection[Any], name: str, ended: list[tuple[str, int, int]]) -> None:
    """Ends versions, named by key and start, at a position."""
    filed = [(*one, fork_of(*one[1:])) for one in ended]
    columns = [list(column) for column in zip(*filed, strict=True)]
    await connection.execute(closing(name), columns, binary=True)


async def add_versions(
    connection: AsyncConnection[Any], model: ReadModel, name: str, versions: Iterable[RowVersion]
) -> None:
    """Writes new versions by COPY, the fastest way for many; a pipeline cannot hold it."""
    async with connection.cursor() as cursor, cursor.copy(copying(name, columns_of(model))) as copy:
        for version in versions:
            await copy.write_row(values(model, version))


async def add_few_versions(
    connection: AsyncConnection[Any], model: ReadModel, name: str, versions: Iterable[RowVersion]
) -> None:
    """Writes new versions one by one; in a pipeline nothing waits for them."""
    for version in versions:
        await connection.execute(adding(name, columns_of(model)), values(model, version))


def columns_of(model: ReadModel) -> tuple[str, ...]:
    """All columns of a read model's table."""
    return ("key", "organisation", "from_position", "to_position", "fork", *model.columns, "document")


def values(model: ReadModel, version: RowVersion) -> list[Any]:
    """What stands in these columns."""
    valid = (version.from_position, version.to_position, fork_of(version.from_position, version.to_position))
    members = (filed(version.row[member]) for member in model.columns)
    return [version.key, version.organisation, *valid, *members, orjson.dumps(version.row).decode()]


@cache
def reading(name: str) -> bytes:
    """Reads present rows by key."""
    query = "select key, from_position, document from {} where key = any(%s) and to_position = %s"
    return sql.SQL(query).format(named(name)).as_bytes(None)


@cache
def closing(name: str) -> bytes:
    """Ends versions."""
    query = """update {} t set to_position = e.until, fork = e.fork
                 from unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[]) as e (key, since, until, fork)
                where t.key = e.key and t.from_position = e.since"""
    return sql.SQL(query).format(named(name)).as_bytes(None)


@cache
def copying(name: str, columns: tuple[str, ...]) -> bytes:
    """Takes many versions."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("copy {} ({}) from stdin").format(named(name), names).as_bytes(None)


@cache
def adding(name: str, columns: tuple[str, ...]) -> bytes:
    """Takes one version."""
    places = sql.SQL(", ").join([sql.Placeholder()] * len(columns))
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("insert into {} ({}) values ({})").format(named(name), names, places).as_bytes(None)
