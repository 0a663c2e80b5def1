"""A where clause chooses in MariaDB what it would choose in PostgreSQL, and can say nothing else there."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from adapters.databases.mysql.quoting import clause as quoted
from adapters.databases.mysql.quoting import literal, name
from adapters.databases.mysql.session import opened
from adapters.databases.where import mysql
from adapters.embedded.postgres import EmbeddedPostgres
from tests.databases.servers import MariaDb

COLUMNS = frozenset({"id", "name", "price", "born", "facts", 'odd "name', "flag"})
THEIRS = """
create temporary table things (id int, name text collate "C", price numeric(9, 2), born timestamp, facts jsonb,
                               "odd ""name" text collate "C", flag boolean)
"""
OURS = """
create table things (id int, name varchar(50), price decimal(9, 2), born datetime, facts json,
                     `odd "name` varchar(50), flag boolean) character set utf8mb4 collate utf8mb4_nopad_bin
"""
NAMES = ["Ann", "bob", "it's", "100%", None]
ROWS = [
    (
        n,
        NAMES[n % 5],
        n * 1.5 - 4,
        f"2025-0{1 + n % 9}-01 10:00:00",
        f'{{"a": {n}}}',
        ["x", "y\\z", ""][n % 3],
        [1, 0, None][n % 3],
    )
    for n in range(15)
]
PLACES = ", ".join(["%s"] * 7)


@dataclass
class Both:
    """The same rows in two databases."""

    theirs: psycopg.Connection
    ours: MariaDb
    loop: asyncio.Runner

    def chosen_there(self, clause: str) -> list[int] | None:
        """The ids that PostgreSQL chooses; None when it refuses."""
        try:
            query = sql.SQL("select id from things where {} order by id").format(sql.SQL(clause))
            return [row[0] for row in self.theirs.execute(query).fetchall()]
        except psycopg.Error:
            return None

    def chosen_here(self, clause: str) -> list[int]:
        """The ids that MariaDB chooses by what we made of it."""
        return self.loop.run(self.chosen(quoted(mysql.where(clause, "things", COLUMNS), "t")))

    async def chosen(self, condition: str) -> list[int]:
        """The ids that a condition chooses."""
        async with opened(self.ours.url("things"), 60, "source") as session:
            return [row[0] for row in await session.rows(f"select id from things t where {condition} order by id")]


@pytest.fixture(scope="module")
def both(postgres: EmbeddedPostgres, mariadb: MariaDb) -> Iterator[Both]:
    """A table of all kinds of values, twice."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as theirs, asyncio.Runner() as loop:
        theirs.execute(THEIRS.encode())
        theirs.cursor().executemany(b"insert into things values (%s, %s, %s, %s, %s, %s, %s::int::boolean)", ROWS)
        loop.run(filled(mariadb))
        yield Both(theirs, mariadb, loop)


async def filled(server: MariaDb) -> None:
    """Makes the table in MariaDB."""
    async with server.connected() as admin:
        await admin.query("create database things character set utf8mb4")
    async with server.connected("things") as connection, connection.cursor() as cursor:
        await cursor.execute(OURS)
        await cursor.executemany(f"insert into things values ({PLACES})", ROWS)


numbers = st.sampled_from(["id", "price", "1", "2.5", "-3", "abs(price)", "id % 4", "floor(price)", "length(name)"])
texts = st.sampled_from(["name", '"odd ""name"', "'Ann'", "'it''s'", "E'y\\\\z'", "lower(name)", "name || 'x'", "''"])
nulls = st.sampled_from(["name", "null", "nullif(name, 'Ann')", "'bob'"])
patterns = st.sampled_from(["'%n'", "'_o%'", "'100\\%'", "'A%'", "'%''%'", "''"])
conditions = st.one_of(
    st.builds("{} {} {}".format, numbers, st.sampled_from(["=", "<>", "<", ">=", "is distinct from"]), numbers),
    st.builds("{} {} {}".format, texts, st.sampled_from(["=", "<", "<>", "is not distinct from"]), texts),
    st.builds("{} is {}distinct from {}".format, nulls, st.sampled_from(["", "not "]), nulls),
    st.builds("{} {} {}".format, texts, st.sampled_from(["like", "not like", "ilike", "not ilike"]), patterns),
    st.builds("{} {} {}".format, texts, st.sampled_from(["~", "!~*"]), st.sampled_from(["'^A'", "'n$'", "'[ab]'"])),
    st.builds("{} between {} and {}".format, numbers, numbers, numbers),
    st.builds("{} in ({}, {})".format, numbers, numbers, numbers),
    st.builds("{} is {}".format, texts, st.sampled_from(["null", "not null"])),
    st.builds("flag is {}".format, st.sampled_from(["true", "not false", "null"])),
    st.builds("(facts ->> 'a')::int {} {}".format, st.sampled_from(["=", ">"]), numbers),
    st.builds("born {} timestamp '2025-0{}-01 10:00:00'".format, st.sampled_from(["<", ">"]), st.integers(1, 9)),
    st.builds("born > timestamp '2025-05-01' - interval '{} days'".format, st.integers(1, 90)),
    st.builds("extract(month from born) = {}".format, st.integers(1, 12)),
)
clauses = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds("{} and {}".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("not {}".format, inner),
        st.builds("({}) = ({})".format, inner, inner),
        st.builds("case when {} then {} else {} end".format, inner, inner, inner),
        st.builds("coalesce({}, false)".format, inner),
    ),
    max_leaves=5,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clause=clauses)
def test_a_clause_chooses_what_postgresql_would_choose(both: Both, clause: str) -> None:
    wanted = both.chosen_there(clause)
    if wanted is not None:
        assert both.chosen_here(clause) == wanted


HOSTILE = st.text(alphabet="id nameflag=<>()'\"`$;-/*#:,.[]{}|~!@%^&\\\x00\n0123é\U0001f600", max_size=40)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=HOSTILE)
def test_texts_and_names_stay_texts_and_names_whatever_is_in_them(both: Both, text: str) -> None:
    inside = text.replace("'", "''").replace("\x00", "")
    assert both.chosen_here(f"id = 3 and ('{inside}' = '{inside}')") == [3]
    assert both.loop.run(said(both.ours, text.replace("\x00", ""))) == text.replace("\x00", "")


async def said(server: MariaDb, text: str) -> Any:
    """A text that went to the server and came back, under a name that is the same text but for what no name holds."""
    called = name("c" + "".join(one for one in text if one < "\U00010000").strip())
    async with opened(server.url("things"), 60, "source") as session:
        return (await session.one(f"select x.{called} from (select {literal(text)} as {called}) x"))[0]
