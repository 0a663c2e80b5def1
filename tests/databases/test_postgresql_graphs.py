"""Whatever tables there are, and however rows refer to each other: in another database they are the same graph."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from adapters.databases.postgresql.target import PostgresTarget
from application.ports.databases import DeployOptions, Order
from tests.databases.conftest import made
from tests.databases.servers import Postgres15
from tests.databases.test_postgresql_deploying import pack

EXAMPLES = int(os.environ.get("GRAPH_EXAMPLES", "150"))
NAMES = ("plain", "Mixed Case", 'quo"te', "per%s cent", "select", "größe", "semi;colon", "a.b")
KEYS = {
    "generated": "{id} bigint generated always as identity primary key",
    "serial": "{id} serial primary key",
    "uuid": "{id} uuid primary key default gen_random_uuid()",
    "text": "{id} text primary key",
    "composite": "{id} text, part int, primary key ({id}, part)",
}
VALUES = {
    "text": st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8),
    "numeric": st.sampled_from(["1.50", "-0.000000000001", "123456789012345678901234567890", "NaN"]),
    "text[]": st.sampled_from(["{}", '{"a,b",NULL,"\\"\\\\"}', "{null}"]),
    "jsonb": st.sampled_from(['{"a": [1, null, "\\u00e9\\n"]}', "null", '"x"']),
    "json": st.sampled_from(['{"a":1, "a":2}', "[]"]),
    "mood": st.sampled_from(["sad", "so; so"]),
    "mood[]": st.sampled_from(["{}", '{sad,"so; so"}']),
    "int[]": st.sampled_from(["{{1,NULL},{3,4}}", "[0:1]={5,6}"]),
    "bytea": st.sampled_from(["\\x", "\\x00ff0a"]),
    "timestamptz": st.sampled_from(["2025-03-30 02:30:00.000001+02", "infinity"]),
    "double precision": st.sampled_from(["0.1", "-0", "1e300", "NaN"]),
    "boolean": st.sampled_from(["true", "false"]),
}


@dataclass(frozen=True)
class Made:
    """One table: its key, a column of a type, the tables that it refers to, and its rows: a value and references."""

    name: str
    key: str
    data_type: str
    parents: tuple[int, ...]
    rows: tuple[tuple[str | None, tuple[int | None, ...]], ...]


@st.composite
def schemas(draw: st.DrawFn) -> list[Made]:
    """Tables that refer to themselves and each other in any direction."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    sizes = [draw(st.integers(0, 5)) for _ in names]
    return [draw(tables(name, size, sizes)) for name, size in zip(names, sizes, strict=True)]


@st.composite
def tables(draw: st.DrawFn, name: str, size: int, sizes: Sequence[int]) -> Made:
    """One table."""
    data_type = draw(st.sampled_from(sorted(VALUES)))
    parents = tuple(draw(st.lists(st.integers(0, len(sizes) - 1), max_size=2)))
    rows = []
    for _ in range(size):
        refer = [draw(st.none() | st.integers(0, sizes[p] - 1)) if sizes[p] else None for p in parents]
        rows.append((draw(st.none() | VALUES[data_type]), tuple(refer)))
    return Made(name, draw(st.sampled_from(sorted(KEYS))), data_type, parents, tuple(rows))


def script(made: Sequence[Made]) -> list[sql.Composed]:
    """What makes the tables."""
    statements = [sql.SQL("create type mood as enum ('sad', 'so; so')").format()]
    for table in made:
        key = sql.SQL(KEYS[table.key]).format(id=sql.Identifier("i d"))
        columns = [key, sql.SQL("tag text"), sql.SQL("{} {}").format(sql.Identifier("v%s"), sql.SQL(table.data_type))]
        columns.append(sql.SQL("doubled text generated always as (tag || tag) stored"))
        for place, parent in enumerate(table.parents):
            columns += [sql.SQL(f"r{place} {kind(made[parent])}"), *both(made[parent], f"r{place}_part int")]
        query = sql.SQL("create table {} ({})")
        statements.append(query.format(sql.Identifier(table.name), sql.SQL(", ").join(columns)))
    for table in made:
        for place, parent in enumerate(table.parents):
            names = [sql.Identifier(f"r{place}"), *both(made[parent], f"r{place}_part")]
            query = sql.SQL("alter table {} add foreign key ({}) references {}")
            parts = (sql.Identifier(table.name), sql.SQL(", ").join(names), sql.Identifier(made[parent].name))
            statements.append(query.format(*parts))
    return statements


def kind(table: Made) -> str:
    """The type of a table's key."""
    return {"generated": "bigint", "serial": "int", "uuid": "uuid"}.get(table.key, "text")


def both(table: Made, second: str) -> list[sql.SQL]:
    """A second column where the key has two."""
    return [sql.SQL(second)] if table.key == "composite" else []


def fill(dsn: str, made: Sequence[Made]) -> None:
    """Puts the rows in; a row's tag tells it from all others."""
    with psycopg.connect(dsn) as connection:
        keys = [[add(connection, table, n) for n in range(len(table.rows))] for table in made]
        for table in made:
            for n, (value, refer) in enumerate(table.rows):
                sets = {"v%s": value}
                for place, (parent, row) in enumerate(zip(table.parents, refer, strict=True)):
                    key = keys[parent][row] if row is not None else (None, None)
                    sets |= dict(zip([f"r{place}", f"r{place}_part"][: len(key) or 1], key, strict=False))
                    if made[parent].key != "composite":
                        sets.pop(f"r{place}_part", None)
                query = sql.SQL("update {} set {} where tag = {}")
                assigned = [sql.SQL("{} = {}").format(sql.Identifier(c), sql.Literal(v)) for c, v in sets.items()]
                tag = sql.Literal(str(n))
                connection.execute(query.format(sql.Identifier(table.name), sql.SQL(", ").join(assigned), tag))


def add(connection: psycopg.Connection[Any], table: Made, n: int) -> tuple[Any, ...]:
    """A row without references; its key."""
    given: dict[str, Any] = {"tag": str(n)}
    if table.key in ("text", "composite"):
        given["i d"] = f"k'\"{n}"
    if table.key == "composite":
        given["part"] = n % 2
    query = sql.SQL("insert into {} ({}) values ({}) returning {}")
    names = sql.SQL(", ").join([sql.Identifier(name) for name in given])
    key = [sql.Identifier("i d"), *both(table, "part")]
    values = sql.SQL(", ").join([sql.Literal(value) for value in given.values()])
    found = connection.execute(query.format(sql.Identifier(table.name), names, values, sql.SQL(", ").join(key)))
    return tuple(found.fetchone() or ())


def graph(dsn: str, made: Sequence[Made]) -> Mapping[str, list[Any]]:
    """Each row by its tag, with the tags of those that it refers to."""
    found = {}
    with psycopg.connect(dsn) as connection:
        for table in made:
            columns = [sql.SQL('t.tag, t.doubled, t."v%s"::text')]
            joins = [sql.SQL("{} t").format(sql.Identifier(table.name))]
            for place, parent in enumerate(table.parents):
                second = f" and p{place}.part = t.r{place}_part" if made[parent].key == "composite" else ""
                columns.append(sql.SQL(f"p{place}.tag"))
                on = sql.SQL(f'p{place} on p{place}."i d" = t.r{place}{second}')
                joins.append(sql.SQL("{} {}").format(sql.Identifier(made[parent].name), on))
            query = sql.SQL("select {} from {} where t.tag <> 'other' order by 1")
            parts = (sql.SQL(", ").join(columns), sql.SQL(" left join ").join(joins))
            found[table.name] = connection.execute(query.format(*parts)).fetchall()
    return found


def everything(dsn: str, made: Sequence[Made]) -> list[Any]:
    """All rows as they are."""
    with psycopg.connect(dsn) as connection:
        query = sql.SQL("select t::text from {} t order by 1")
        return [connection.execute(query.format(sql.Identifier(table.name))).fetchall() for table in made]


def used(dsn: str, made: Sequence[Made]) -> None:
    """Rows of somebody else are there."""
    with psycopg.connect(dsn) as connection:
        for table in made:
            for n in range(3):
                given = {"generated": "default", "serial": "default", "uuid": "default"}.get(table.key, f"'other{n}'")
                part = ", 1" if table.key == "composite" else ""
                columns = sql.SQL('"i d", tag, part' if part else '"i d", tag')
                query = sql.SQL("insert into {} ({}) values ({}, 'other'{})")
                values = (sql.SQL(given), sql.SQL(part))
                connection.execute(query.format(sql.Identifier(table.name), columns, *values))


def renewed(dsn: str, made: Sequence[Made]) -> None:
    """The database with these tables and nothing else."""
    with psycopg.connect(dsn) as connection:
        connection.execute("drop schema public cascade; drop schema if exists rollbook_packages cascade")
        connection.execute("create schema public")
        for statement in script(made):
            connection.execute(statement)


async def tried(source: str, target: str, made: Sequence[Made], is_used: bool, at_once: bool) -> None:
    """Deploys, compares, deploys again, takes back."""
    for dsn in (source, target):
        renewed(dsn, made)
    fill(source, made)
    if is_used:
        used(target, made)
    before, name = everything(target, made), str(uuid4())
    package = await pack(source, *(table.name for table in made))
    options = DeployOptions(continue_on_error=not at_once)
    seen = await PostgresTarget(target).differences(package, Order(name, "p", options))
    outcome = await PostgresTarget(target).deploy(package, Order(name, "p", options), lambda table, rows: None)
    assert graph(target, made) == graph(source, made)
    assert {t: (o.new, o.failed) for t, o in outcome.tables.items()} == {t: (d.new, 0) for t, d in seen.items()}
    update = Order(str(uuid4()), "p", DeployOptions(update_existing=True))
    again = await PostgresTarget(target).deploy(package, update, lambda table, rows: None)
    assert {(o.new, o.changed, o.failed) for o in again.tables.values()} == {(0, 0, 0)}
    await PostgresTarget(target).roll_back(name, False, lambda table, rows: None)
    assert everything(target, made) == before


@pytest.fixture
def trying(shop: str, other: str) -> Iterator[Callable[[Sequence[Made], bool, bool], None]]:
    """Tries one schema after the other in the same two databases."""
    with asyncio.Runner() as loop:
        yield lambda made, is_used, at_once: loop.run(tried(shop, other, made, is_used, at_once))


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(made=schemas(), is_used=st.booleans(), at_once=st.booleans())
def test_a_few_graphs_are_the_same_elsewhere(
    trying: Callable[[Sequence[Made], bool, bool], None], made: list[Made], is_used: bool, at_once: bool
) -> None:
    trying(made, is_used, at_once)


@pytest.fixture
def trying_15(postgres_15: Postgres15) -> Iterator[Callable[[Sequence[Made], bool, bool], None]]:
    """The same on PostgreSQL 15."""
    database = contextmanager(made)
    with database(postgres_15) as source, database(postgres_15) as target, asyncio.Runner() as loop:
        yield lambda drawn, is_used, at_once: loop.run(tried(source, target, drawn, is_used, at_once))


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(drawn=schemas(), is_used=st.booleans(), at_once=st.booleans())
def test_a_few_graphs_are_the_same_on_postgresql_15(
    trying_15: Callable[[Sequence[Made], bool, bool], None], drawn: list[Made], is_used: bool, at_once: bool
) -> None:
    trying_15(drawn, is_used, at_once)


@pytest.mark.faults
@pytest.mark.timeout(600)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(made=schemas(), is_used=st.booleans(), at_once=st.booleans())
def test_many_graphs_are_the_same_elsewhere(
    trying: Callable[[Sequence[Made], bool, bool], None], made: list[Made], is_used: bool, at_once: bool
) -> None:
    trying(made, is_used, at_once)
