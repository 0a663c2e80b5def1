"""Who may do what to the log: the role that works may call append and read, and nobody may change what stands there."""

from collections.abc import Iterable, Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres.pools import refuse_powerful_role
from tests.conftest import Database
from tests.kernel.client import Attempt, append, everything

ROLES = ("rollbook_app", "rollbook_writer", "rollbook_reader", "rollbook_projector")
EVENT = """insert into rollbook.events
           select position + 1, commit_position + 1, gen_random_uuid(), stream_id, version + 1, topic, schema_version,
                  organisation, sequence + 1, now(), envelope, payload, previous_hash, hash from rollbook.events"""
OF_A_PARTITION = {
    "empty a partition": "truncate rollbook.events_000000",
    "delete from a partition": "delete from rollbook.events_000000",
}
CHANGES = {
    **OF_A_PARTITION,
    "write past append": EVENT,
    "update": "update rollbook.events set recorded_at = now()",
    "delete": "delete from rollbook.events",
    "truncate": "truncate rollbook.events",
    "drop": "drop table rollbook.events cascade",
    "detach": "alter table rollbook.events detach partition rollbook.events_000000",
    "silence the triggers": "alter table rollbook.events disable trigger all",
    "see all rows": "alter table rollbook.events disable row level security",
    "pretend to be a replica": "set session_replication_role = replica",
    "replace append": "drop function rollbook.append",
    "add a function": "create function rollbook.mine() returns int language sql as 'select 1'",
    "add a partition": "select rollbook.add_partition(20000000)",
    "take a key": "insert into rollbook.taken_keys values ('acme', 'mine', 'lane-a')",
    "free a key": "delete from rollbook.taken_keys",
    "invent an outcome": "insert into rollbook.commands values (gen_random_uuid(), '', 200, '', 1, now())",
    "alter an outcome": "update rollbook.commands set status = 500",
    "raise the epoch": "update rollbook.identity set epoch = 99",
    "become the owner": "set role rollbook_owner",
    "become a superuser": "set role postgres",
    "make a role": "create role mine superuser",
    "read a file": "select pg_read_file('/etc/hostname')",
    "run a program": "copy rollbook.events to program 'true'",
}


@pytest.fixture
def written(database: Database) -> Database:
    """A database with an event, a key and a command's outcome."""
    with psycopg.connect(database.app_url) as connection:
        connection.execute("set role rollbook_writer")
        append(connection, Attempt([("lane-a", 1)], taken={"name": "lane-a"}))
    return database


def let_through(client: psycopg.Connection, changes: Iterable[str]) -> list[str]:
    """Which of these changes nobody refused."""
    through = []
    for change in changes:
        try:
            client.execute(CHANGES[change].encode())
        except psycopg.errors.InsufficientPrivilege:
            continue
        through.append(change)
    return through


@pytest.mark.parametrize("role", ROLES)
def test_the_role_that_works_can_change_nothing(written: Database, role: str) -> None:
    before = everything(written.admin_url)
    with psycopg.connect(written.app_url, autocommit=True) as client:
        client.execute(f"set role {role}".encode())
        assert let_through(client, CHANGES) == []
    assert everything(written.admin_url) == before


@pytest.mark.parametrize("who", ["owner_url", "admin_url"])
def test_triggers_refuse_even_the_owner_and_a_superuser(written: Database, who: str) -> None:
    before = everything(written.admin_url)
    with psycopg.connect(getattr(written, who), autocommit=True) as powerful:
        assert let_through(powerful, ("update", "delete", "truncate", *OF_A_PARTITION)) == []
    assert everything(written.admin_url) == before


def test_a_partition_that_comes_later_is_guarded_too(written: Database) -> None:
    with psycopg.connect(written.owner_url, autocommit=True) as owner:
        owner.execute("select rollbook.add_partition(20000000)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="for ever"):
            owner.execute("truncate rollbook.events_000002")


@pytest.mark.parametrize("role", ["rollbook_reader", "rollbook_projector"])
def test_who_reads_cannot_append(written: Database, role: str) -> None:
    with psycopg.connect(written.app_url, autocommit=True) as client:
        client.execute(f"set role {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            append(client, Attempt([("lane-a", 2)]))


def test_a_writer_cannot_read_the_log(written: Database) -> None:
    with psycopg.connect(written.app_url, autocommit=True) as client:
        client.execute("set role rollbook_writer")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("select payload from rollbook.events")


@pytest.mark.parametrize(("organisation", "seen"), [("acme", 1), ("other", 0), ("", 0), (None, 0), ("ACME", 0)])
@pytest.mark.parametrize("table", ["events", "event_log"])
def test_a_reader_sees_the_organisation_that_it_named(
    written: Database, organisation: str | None, seen: int, table: str
) -> None:
    with psycopg.connect(written.app_url, autocommit=True) as client:
        client.execute("set role rollbook_reader")
        if organisation is not None:
            client.execute("select set_config('rollbook.organisation', %s, false)", [organisation])
        assert client.execute(f"select count(*) from rollbook.{table}".encode()).fetchone() == (seen,)


@pytest.fixture
def upstart(postgres: EmbeddedPostgres, database: Database) -> Iterator[psycopg.Connection]:
    """A role with a password, to be given what it should not have."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("create role upstart login password 'secret' in role rollbook_writer, rollbook_reader")
        yield admin
        admin.execute("drop owned by upstart")
        admin.execute("drop role upstart")


async def test_the_role_that_works_is_let_in(database: Database, upstart: psycopg.Connection) -> None:
    await refuse_powerful_role(database.app_url)
    await refuse_powerful_role(make_conninfo(database.app_url, user="upstart", password="secret"))


@pytest.mark.parametrize(
    "power",
    [
        "alter role upstart superuser",
        "alter role upstart bypassrls",
        "grant rollbook_owner to upstart",
        "grant postgres to upstart",
        "create table rollbook.mine (); alter table rollbook.mine owner to upstart",
        "grant create on schema rollbook to upstart; alter view rollbook.event_log owner to upstart",
    ],
)
async def test_a_powerful_role_is_refused_at_start(database: Database, upstart: psycopg.Connection, power: str) -> None:
    for one in power.split(";"):
        upstart.execute(one.encode())
    with pytest.raises(PermissionError):
        await refuse_powerful_role(make_conninfo(database.app_url, user="upstart", password="secret"))


@pytest.mark.parametrize("who", ["owner_url", "admin_url"])
async def test_the_owner_and_superusers_do_not_work(database: Database, who: str) -> None:
    with pytest.raises(PermissionError):
        await refuse_powerful_role(getattr(database, who))
