"""With which rights rows are packed: nobody's words ever run as a superuser."""

import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from adapters.databases.postgresql.reading import PostgresReading, PostgresSource
from application.ports.databases import Selection
from tests.databases.test_postgresql_deploying import rows
from tests.databases.test_postgresql_reading import SCHEMA, packed, run

PLAIN = ""
POLICIES = "alter table orders enable row level security; alter table orders force row level security"
NO_TEMPORARY = "do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$"
FORBIDDEN = [
    "copy (select 1) to program 'true'",
    "copy rollbook_chosen_0 from program 'true'",
    "copy (select 1) to '/tmp/rollbook-was-here'",
    "copy rollbook_chosen_0 from '/etc/passwd'",
    "select pg_read_file('PG_VERSION')",
    "select lo_import('/etc/passwd')",
    "select pg_ls_dir('.')",
    "delete from public.orders",
    "create table public.left_behind (a int)",
]
SPY = """
create type mood as enum ('sad', 'ok');
create function spy(mood, mood) returns bool language plpgsql as $$ begin
    if (select rolsuper from pg_roles where rolname = current_user) then raise 'too many rights'; end if;
    return $1::text = $2::text; end $$;
create operator public.= (leftarg = mood, rightarg = mood, function = spy);
create table moods (id int, mood mood); insert into moods values (1, 'sad'), (2, 'ok');
"""
CHOSEN = Selection(tables=("orders",), where={"orders": "id < 3"}, include_parent=True)
ROLES = "select rolname from pg_roles where rolname like 'rollbook\\_reader\\_%'"


@pytest.fixture(params=[PLAIN, POLICIES, NO_TEMPORARY], ids=["plain", "policies", "no temporary tables"])
def superuser(shop: str, request: pytest.FixtureRequest) -> str:
    """The DSN of a superuser, to a database in which taking rights from it is more or less easy."""
    run(shop, SCHEMA + request.param)
    assert rows(shop, "select rolsuper from pg_roles where rolname = current_user") == [(True,)]
    return shop


async def test_a_superuser_packs_without_the_rights_of_one(superuser: str) -> None:
    async with PostgresSource(superuser).read(CHOSEN) as reading:
        assert isinstance(reading, PostgresReading)
        for forbidden in FORBIDDEN:
            with pytest.raises((errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)):
                async with reading.connection.transaction():
                    await reading.connection.execute(forbidden.encode())


async def test_what_a_where_clause_calls_is_never_called_by_a_superuser(superuser: str) -> None:
    run(superuser, SPY)
    found = await packed(superuser, tables=("moods",), where={"moods": "mood = 'ok'"})
    assert found == {"moods": [["2", "ok"]]}
    with pytest.raises(errors.RaiseException, match="too many rights"):
        run(superuser, "select from moods where mood = 'ok'")


async def test_all_rows_are_packed_all_the_same_and_nothing_is_left_behind(superuser: str) -> None:
    found = await packed(superuser, tables=("orders",), where={"orders": "id < 3"}, include_parent=True)
    assert [row[0] for row in found["orders"]] == ["1", "2"]
    assert [row[1] for row in found["customers"]] == ["Ann", "Bob", "Cid", "Dot"]
    assert rows(superuser, ROLES) == []


async def test_who_sees_only_some_rows_packs_only_those(shop: str) -> None:
    run(shop, SCHEMA + POLICIES + "; create policy own on orders using (id = 1)")
    name = "few_" + str(rows(shop, "select current_database()")[0][0])
    run(shop, f"create role {name} login password 'few'; grant select on all tables in schema public to {name}")
    found = await packed(make_conninfo(shop, user=name, password="few"), tables=("orders",))
    assert [row[0] for row in found["orders"]] == ["1"]
