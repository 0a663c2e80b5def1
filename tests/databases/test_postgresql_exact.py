"""What is packed from PostgreSQL does not depend on what a role, a database or a type of somebody's was made to say."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.databases.postgresql.reading import PostgresSource
from adapters.embedded.postgres import EmbeddedPostgres
from domain.errors import Invalid
from tests.databases.test_postgresql_deploying import deploy, pack, rows
from tests.databases.test_postgresql_reading import packed, run

VALUES = {
    "numeric": "repeat('9', 1000)::numeric / 7",
    "float8": "0.1::float8 + 0.2",
    "timestamptz": "'2025-02-03 04:05:06.789+02'",
    "date": "'0044-03-15 BC'",
    "interval": "'1 year -2 mons 3 days -04:05:06.789'",
    "bytea": "'\\x00ff5c27'",
    "int[]": "'[0:2]={1,NULL,3}'",
    "text[]": """'{{a,"NULL"},{NULL,"b\\"\\\\c"}}'""",
    "money": "'-1234.56'",
    "text": "E'\\u2028 \\\\ ''\"'",
    "bpchar": "'ab  '",
    "json": """'{"a": 1.00000000000000000001, "a": "\\u0000"}'""",
    "tstzrange": "'[2024-01-01 00:00+02,infinity)'",
    "regclass": "'values'",
}
TABLE = f'create table "values" (id int primary key, {", ".join(f"v{n} {kind}" for n, kind in enumerate(VALUES))});'
ROW = f'insert into "values" values (1, {", ".join(VALUES.values())});'
CHOSEN = {
    "datestyle": "'SQL, DMY'",
    "timezone": "'Asia/Kolkata'",
    "intervalstyle": "'iso_8601'",
    "extra_float_digits": "'-10'",
    "bytea_output": "'escape'",
    "array_nulls": "off",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
    "client_encoding": "'LATIN1'",
    "default_transaction_read_only": "on",
    "search_path": "''",
}
SAID = """select (v0, v1, v2, v3, v4, v5, v6, v7, v9, v11::text, v12)::text, format('%s', v10), v8 = '-1234.56'::money
            from public."values" """
# Each suits what is asked of it better than the function of that name that is meant.
STAND_INS = """
create function {schema}.set_config(text, name, boolean) returns text language plpgsql as $$ begin raise 'ours'; end $$;
create function {schema}.to_json(text[]) returns json language sql as $$ select '["ours"]'::json $$;
create function {schema}.lower(varchar) returns text language sql as $$ select 'ours' $$;
create function {schema}.same(varchar, text) returns bool language sql as $$ select true $$;
create operator {schema}.= (leftarg = varchar, rightarg = text, function = {schema}.same);
create table people (name varchar(10)); insert into people values ('Ann'), ('Bob');
"""


def name_of(dsn: str) -> str:
    """The name of a database."""
    return str(rows(dsn, "select current_database()")[0][0])


@contextmanager
def encoded(postgres: EmbeddedPostgres, name: str, encoding: str) -> Iterator[str]:
    """A database of such an encoding."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0".encode())
    yield make_conninfo(postgres.admin_url, dbname=name)
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)".encode())


@pytest.mark.parametrize("name", CHOSEN)
async def test_values_come_and_go_as_they_are(shop: str, other: str, name: str) -> None:
    run(shop, TABLE + ROW)
    run(other, TABLE)
    before = await packed(shop, tables=("values",), where={"values": "id = 1"})
    run(shop, f"alter database {name_of(shop)} set {name} = {CHOSEN[name]}")
    assert await packed(shop, tables=("values",), where={"values": "id = 1"}) == before
    if name != "default_transaction_read_only":
        run(other, f"alter database {name_of(other)} set {name} = {CHOSEN[name]}")
        await deploy(other, await pack(shop, "values"))
        run(other, f"alter database {name_of(other)} reset {name}")
        run(shop, f"alter database {name_of(shop)} reset {name}")
        assert rows(other, SAID) == rows(shop, SAID)


async def test_texts_are_unicode_whatever_a_database_keeps_them_in(postgres: EmbeddedPostgres, other: str) -> None:
    table = "create table words (word text primary key);"
    with encoded(postgres, "latin", "LATIN1") as source:
        run(source, table + "insert into words values (chr(233))")
        package = await pack(source, "words")
    run(other, table)
    await deploy(other, package)
    assert rows(other, "select word from words") == [("\u00e9",)]


async def test_texts_that_are_none_are_refused(postgres: EmbeddedPostgres) -> None:
    with encoded(postgres, "bytes", "SQL_ASCII") as source:
        run(source, "create table words (word text primary key); insert into words values (E'\\377')")
        with pytest.raises(Invalid, match='invalid byte sequence for encoding "UTF8"'):
            await packed(source, tables=("words",))


async def test_casts_of_somebodys_making_change_no_value(shop: str) -> None:
    run(
        shop,
        """create type mood as enum ('sad', 'ok'); create domain own as mood;
           create function label(mood) returns text language sql as $$ select 'a mood' $$;
           create cast (mood as text) with function label(mood);
           create table moods (id int primary key, mood mood, own own);
           insert into moods values (1, 'ok', 'sad'), (2, null, null)""",
    )
    assert await packed(shop, tables=("moods",)) == {"moods": [["1", "ok", "sad"], ["2", None, None]]}


async def test_references_are_followed_as_the_types_compare_wherever_they_are(shop: str) -> None:
    run(
        shop,
        """create schema extensions; create extension citext schema extensions;
           create table people (name extensions.citext primary key, boss extensions.citext references people);
           insert into people values ('Ann', null), ('Bob', 'ANN')""",
    )
    found = await packed(shop, tables=("people",), where={"people": "name = 'Bob'"}, include_parent=True)
    assert found == {"people": [["Ann", None], ["Bob", "ANN"]]}
    assert await packed(shop, tables=("people",), where={"people": "boss = 'ann'"}) == {"people": [["Bob", "ANN"]]}


@pytest.mark.parametrize("schema", ["public", "theirs"])
async def test_who_may_make_functions_cannot_have_them_called(shop: str, schema: str) -> None:
    run(shop, "create schema theirs; grant create on schema public to public;" + STAND_INS.format(schema=schema))
    run(shop, f"alter database {name_of(shop)} set search_path = {schema}, pg_catalog")
    run(shop, "alter table if exists theirs.people set schema public")
    found = await packed(shop, tables=("people",), where={"people": "lower(name) = 'bob'"})
    assert found == {"people": [["Bob"]]}


async def test_tables_that_are_written_alike_do_not_stand_in_for_each_other(shop: str) -> None:
    run(
        shop,
        """create schema shop; create table shop.people (id int primary key); create table others (id int references
           shop.people); create table "shop.people" (id int primary key)""",
    )
    catalog = await PostgresSource(shop).catalog()
    assert set(catalog) == {"others"}
    assert await packed(shop, tables=("others",), include_parent=True) == {"others": []}


async def test_more_columns_than_a_server_takes_are_refused_once_and_for_all(shop: str, other: str) -> None:
    table = f"create table wide (c0 int primary key, {', '.join(f'c{n} int' for n in range(1, 1600))});"
    run(other, table)
    run(shop, table + "insert into wide (c0, c1599) values (1, 2)")
    package = await pack(shop, "wide")
    with pytest.raises(Invalid, match="1600 columns"):
        await deploy(other, package)
