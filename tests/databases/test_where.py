"""A where clause means here what it means to PostgreSQL, and can say nothing else."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from adapters.databases.where import mysql, postgresql
from adapters.databases.where.writing import Name, Pieces, Text
from adapters.embedded.postgres import EmbeddedPostgres
from domain.errors import Invalid

COLUMNS = frozenset({"id", "name", "price", "born", "facts", "tags", 'odd "name', "flag"})
ROWS = """
create temporary table things (id int, name text, price numeric, born timestamptz, facts jsonb, tags int[],
                               "odd ""name" text, flag boolean);
insert into things select n, (array['Ann', 'bob', 'it''s', '100%', null])[1 + n % 5], n * 1.5 - 4,
       timestamptz '2025-01-01 00:00+00' + n * interval '20 days',
       jsonb_build_object('a', n, 'b', jsonb_build_array(n)),
       array[n, n + 1], (array['x', 'y\\z', ''])[1 + n % 3], (array[true, false, null])[1 + n % 3]
  from generate_series(0, 14) n;
"""


@pytest.fixture(scope="module")
def things(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    """A table of all kinds of values."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        for statement in ROWS.split(";\n")[:2]:
            connection.execute(statement.encode())
        yield connection


def composed(pieces: Pieces) -> sql.Composed:
    """The pieces as the driver quotes them."""
    parts: list[sql.Composable] = []
    for piece in pieces:
        if isinstance(piece, Name):
            parts.append(sql.Identifier(piece.column))
        else:
            parts.append(sql.Literal(piece.value) if isinstance(piece, Text) else sql.SQL(piece))
    return sql.Composed(parts)


def chosen(things: psycopg.Connection, clause: sql.Composable) -> list[int] | str:
    """The ids that a clause chooses, or the kind of error that it makes."""
    try:
        found = things.execute(sql.SQL("select id from things where {} order by id").format(clause)).fetchall()
    except psycopg.Error as problem:
        return type(problem).__name__
    return [row[0] for row in found]


SPANS = ["1 day", "1 day 02:03:04", "40 days ago", "1 mon 2 weeks", "-90 min", "1.5 days", "P3M", "1-2", "@ 1 year"]
numbers = st.sampled_from(["id", "price", "1", "2.5", "-3", "abs(price)", "id % 4", "round(price)", "length(name)"])
texts = st.sampled_from(["name", '"odd ""name"', "'Ann'", "'it''s'", "E'y\\\\z'", "lower(name)", "name || 'x'", "''"])
conditions = st.one_of(
    st.builds("{} {} {}".format, numbers, st.sampled_from(["=", "<>", "<", ">=", "is distinct from"]), numbers),
    st.builds("{} {} {}".format, texts, st.sampled_from(["=", "<", "like", "not like", "ilike"]), texts),
    st.builds("{} {} ({})".format, texts, st.sampled_from(["~", "!~*"]), texts),
    st.builds("{} between {} and {}".format, numbers, numbers, numbers),
    st.builds("{} in ({}, {})".format, numbers, numbers, numbers),
    st.builds("{} is {}".format, texts, st.sampled_from(["null", "not null"])),
    st.builds("flag is {}".format, st.sampled_from(["true", "not false", "null", "unknown"])),
    st.builds("id = any(array[{}, {}])".format, st.integers(0, 9), st.integers(0, 9)),
    st.builds("(facts ->> 'a')::int {} {}".format, st.sampled_from(["=", ">"]), numbers),
    st.builds("born {} now() - interval '{} days'".format, st.sampled_from(["<", ">"]), st.integers(1, 900)),
    st.builds("born < timestamp '2025-09-01' - interval '{}'".format, st.sampled_from(SPANS)),
    st.builds("extract(month from born) = {}".format, st.integers(1, 12)),
)
clauses = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds("{} and {}".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("not {}".format, inner),
        st.builds("({})".format, inner),
        st.builds("({}) = ({})".format, inner, inner),
        st.builds("case when {} then {} else {} end".format, inner, inner, inner),
        st.builds("coalesce({}, false)".format, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clause=clauses)
def test_a_clause_chooses_what_postgresql_would_choose(things: psycopg.Connection, clause: str) -> None:
    ours = chosen(things, composed(postgresql.where(clause, "things", COLUMNS)))
    assert ours == chosen(things, sql.SQL(clause))


REFUSED = {
    "1 = 1; drop table things": "';'",
    "1 = 1 -- rest": "comments",
    "1 = 1 /* rest */": "comments",
    "id in (select 1)": "'select'",
    "exists (select 1)": "'select'",
    "pg_sleep(10) is null": "'pg_sleep'",
    "pg_read_file('/etc/passwd') = ''": "'pg_read_file'",
    "pg_catalog.lower(name) = ''": "'pg_catalog.lower(name)'",
    "lo_import('x') = 1": "'lo_import'",
    "ctid = '(0,1)'": "'ctid'",
    "xmin = 1": "'xmin'",
    "nobody = 1": "'nobody'",
    "other.id = 1": "'id'",
    "id = $1": "'$'",
    "id = :id": "is not allowed",
    "name::regclass = 'x'": "'REGCLASS'",
    "current_user = 'x'": "'CURRENT_USER'",
    "1 = 1) or (1 = 1": "near ')'",
    "name = 'open": "quote",
    "": "empty",
    "repeat('x', 1000000000) = name": "'REPEAT(",
    "lpad(name, 1000000000) = name": "at most 1000",
    "rpad(name, id) = name": "at most 1000",
    "replace(replace(name, 'a', 'bb'), 'b', 'cc') = name": "longer one",
    "replace(name, 'a', lpad('', 1000)) = name": "longer one",
    "name = 'a\0b'": "no database takes",
    "name = '\ud800'": "no database takes",
    "id between symmetric 2 and 1": "symmetric",
    "name ~ name || 'x'": "brackets around 'name || 'x''",
    "facts @> facts -> 'a'": "brackets",
    "name collate \"C\" = 'x'": "COLLATE",
    "row_to_json(things) is null": "'row_to_json'",
    "id = any(tags)": "constants",
    "(" * 100 + "id = 1" + ")" * 100: "deeper",
    "a+" * 2500 + "a": "words",
    "id = 1 or " * 3000 + "id = 2": "at most",
}


@pytest.mark.parametrize("clause", REFUSED)
def test_what_a_clause_may_not_say_is_refused_with_the_offending_word(clause: str) -> None:
    with pytest.raises(Invalid) as refusal:
        postgresql.where(clause, "things", COLUMNS)
    assert REFUSED[clause] in refusal.value.message


@settings(max_examples=300, deadline=None)
@given(clause=st.text(alphabet="id nameflag=<>()'\"$;-/*:,.[]{}|~!@#%^&\\\x00\n0123456789éE", max_size=60))
def test_any_text_is_either_written_anew_or_refused(clause: str) -> None:
    for words in (postgresql, mysql):
        try:
            pieces = words.where(clause, "things", COLUMNS)
        except Invalid:
            continue
        assert all(
            piece.isascii() and ";" not in piece and "--" not in piece for piece in pieces if isinstance(piece, str)
        )
        assert {piece.column for piece in pieces if isinstance(piece, Name)} <= COLUMNS


def test_what_mysql_lacks_is_refused_by_its_name() -> None:
    for clause, word in {
        "name similar to 'x'": "SIMILAR",
        "id = any(array[1])": "ANY",
        "tags && array[1]": "&&",
    }.items():
        with pytest.raises(Invalid, match="mysql") as refusal:
            mysql.where(clause, "things", COLUMNS)
        assert word.lower() in refusal.value.message.lower()
