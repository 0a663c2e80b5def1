"""Trying an environment: which server answers, what it gives, what had better be otherwise; never its address."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pymongo import AsyncMongoClient
from secantus import SecantusDBServer  # type: ignore[import-untyped]

from adapters.databases.postgresql.reading import PostgresSource
from adapters.databases.probing import mongodb, mysql, postgresql
from application.ports.databases import Selection
from domain.errors import Unavailable
from tests.conftest import Database
from tests.databases.servers import MariaDb, Postgres15
from tests.environments.conftest import PASSWORD, Environments, role

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def tried(environments: Environments, dsn: str, reader: str | None = None, kind: str = "postgresql") -> Any:
    """What a test of these addresses answers."""
    references = {"dsn": environments.keep("dsn", dsn)}
    if reader:
        references["reader_dsn"] = environments.keep("reader", reader)
    await environments.ask("POST", expect=201, json={"name": "staging", "kind": kind, **references})
    return await environments.ask("POST", "/staging/test")


async def test_an_environment_that_is_as_it_should_be_has_no_warning(
    environments: Environments, owner: str, reader: str
) -> None:
    told = await tried(environments, owner, reader)
    assert (told["ok"], told["problems"], told["warnings"]) == (True, [], [])
    assert told["database"] == conninfo_to_dict(owner)["dbname"]
    assert told["access"]["server"].startswith("PostgreSQL 18")
    assert (told["access"]["can_write"], told["access"]["is_superuser"]) == (True, False)
    assert (told["reader"]["can_write"], told["reader"]["is_superuser"]) == (False, False)
    assert told["access"]["latency_ms"] > 0


async def test_one_address_does(environments: Environments, owner: str) -> None:
    told = await tried(environments, owner)
    assert (told["ok"], told["reader"], told["warnings"]) == (True, None, [])


async def test_a_reader_that_can_write_is_a_warning(environments: Environments, owner: str) -> None:
    told = await tried(environments, owner, owner)
    assert (told["ok"], told["warnings"]) == (True, ["reader_dsn can write: it needs SELECT alone"])


async def test_a_superuser_is_a_warning(environments: Environments, shop: str) -> None:
    told = await tried(environments, shop, shop)
    assert told["access"]["is_superuser"]
    assert [warning.split(" may ")[0] for warning in told["warnings"][:2]] == ["dsn", "reader_dsn"]


async def test_an_address_that_cannot_write_is_a_warning(environments: Environments, reader: str) -> None:
    told = await tried(environments, reader)
    assert not told["access"]["can_write"]
    assert told["warnings"] == ["dsn cannot write: packages can come from here, and not go here"]


async def test_a_role_that_may_write_one_table_can_write(shop: str) -> None:
    for dsn in role(shop, "clerk", "grant insert on products to {0}"):
        assert (await postgresql.probe(dsn)).can_write
    for dsn in role(
        shop, "still", "grant insert on products to {0}; alter role {0} set default_transaction_read_only = on"
    ):
        assert not (await postgresql.probe(dsn)).can_write


async def test_an_event_store_is_told_to_be_one(environments: Environments, database: Database) -> None:
    told = await tried(environments, database.app_url)
    assert not told["ok"]
    assert "event store" in told["problems"][0]


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_why_there_is_no_access_is_told_without_the_address(owner: str) -> None:
    facts = conninfo_to_dict(owner)
    for change, reason in (
        ({"password": "wrong"}, "refuses the password"),
        ({"dbname": "nowhere"}, "does not have the database"),
        ({"port": closed_port()}, "nobody listens there"),
        ({"host": "role.database.invalid"}, "host's name is not known"),
        ({"sslmode": "require"}, "encryption"),
    ):
        dsn = make_conninfo(owner, **change)
        for use in (partial(postgresql.probe, dsn), PostgresSource(dsn).catalog):
            with pytest.raises(Unavailable, match=reason) as refused:
                await use()
            for part in (facts["user"], facts["dbname"], facts["host"], *map(str, change.values())):
                assert str(part) not in refused.value.message


async def test_problems_of_both_addresses_are_told(environments: Environments, owner: str) -> None:
    wrong = make_conninfo(owner, password="wrong")
    told = await tried(environments, wrong, wrong)
    assert (told["ok"], told["access"], told["reader"]) == (False, None, None)
    assert [problem.split(":")[0] for problem in told["problems"]] == ["dsn", "reader_dsn"]


async def test_a_server_that_never_answers_is_given_up(
    environments: Environments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.environments.TRIAL_SECONDS", 0.5)
    async with silent() as port:
        told = await tried(environments, f"postgresql://ann:{PASSWORD}@127.0.0.1:{port}/shop")
    assert (told["ok"], told["problems"]) == (False, ["dsn: no answer within 0.5 s"])


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """The port of a server that takes connections and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1]


async def test_postgresql_15_is_tried_and_packed_from(postgres_15: Postgres15) -> None:
    access = await postgresql.probe(postgres_15.url())
    assert (access.server.split(".")[0], access.is_superuser, access.can_write) == ("PostgreSQL 15", True, True)
    with psycopg.connect(postgres_15.url(), autocommit=True) as admin:
        admin.execute("create table tried (number int); insert into tried values (1)")
    async with PostgresSource(postgres_15.url()).read(Selection(tables=("tried",))) as reading:
        assert [int(orjson.loads(line)[0]) async for lines in reading.rows("tried") for line in lines] == [1]
    with psycopg.connect(postgres_15.url(), autocommit=True) as admin:
        admin.execute("drop table tried")


async def test_mariadb_is_tried(environments: Environments, mariadb: MariaDb) -> None:
    async with mariadb.connected() as connection, connection.cursor() as cursor:
        for statement in (
            "create database shop_1",
            "create table shop_1.products (sku varchar(9) primary key)",
            f"create user writer@'%' identified by '{PASSWORD}'",
            f"create user reader@'%' identified by '{PASSWORD}'",
            f"create user clerk@'%' identified by '{PASSWORD}'",
            "grant all on `shop\\_1`.* to writer@'%'",
            "grant select on shop_1.* to reader@'%'",
            "grant insert on shop_1.products to clerk@'%'",
        ):
            await cursor.execute(statement)
    address = f"{PASSWORD}@127.0.0.1:{mariadb.port}/shop_1"
    told = await tried(environments, f"mysql://writer:{address}", f"mysql://reader:{address}", "mysql")
    assert (told["ok"], told["database"], told["warnings"]) == (True, "shop_1", [])
    assert told["access"]["server"].startswith("MariaDB 1")
    assert (await mysql.probe(f"mysql://clerk:{address}")).can_write
    root = await mysql.probe(mariadb.url("shop_1"))
    assert (root.is_superuser, root.can_write) == (True, True)
    for dsn, reason in (
        (f"mysql://writer:wrong@127.0.0.1:{mariadb.port}/shop_1", "refuses the user or the password"),
        (mariadb.url("nowhere"), "does not have the database"),
        (f"mysql://writer:{PASSWORD}@127.0.0.1:{mariadb.port}/mysql", "no such database"),
        (f"mysql://writer:{PASSWORD}@127.0.0.1:{closed_port()}/shop", "nobody listens there"),
    ):
        with pytest.raises(Unavailable, match=reason) as refused:
            await mysql.probe(dsn)
        assert "writer" not in refused.value.message


async def test_mongodb_is_tried(environments: Environments, tmp_path: Path) -> None:
    with SecantusDBServer(storage_path=str(tmp_path / "mongo"), cache_size="64M") as server:
        told = await tried(environments, f"mongodb://127.0.0.1:{server.port}/shop", kind="mongodb")
    assert (told["ok"], told["database"]) == (True, "shop")
    assert told["access"]["server"].startswith("MongoDB ")
    assert (told["access"]["can_write"], told["access"]["is_superuser"]) == (True, True)


async def test_what_a_user_of_mongodb_may_do_is_told(tmp_path: Path) -> None:
    with SecantusDBServer(storage_path=str(tmp_path / "mongo"), cache_size="64M") as server:
        users = {"boss": ["root"], "reader": [{"role": "read", "db": "shop"}], "writer": ["readWrite"]}
        client: AsyncMongoClient[Any] = AsyncMongoClient(f"mongodb://127.0.0.1:{server.port}")
        async with client:
            for name, roles in users.items():
                await client.shop.command("createUser", name, pwd=PASSWORD, roles=roles)
    with SecantusDBServer(storage_path=str(tmp_path / "mongo"), cache_size="64M", require_auth=True) as server:
        found = {
            name: await mongodb.probe(f"mongodb://{name}:{PASSWORD}@127.0.0.1:{server.port}/shop") for name in users
        }
        with pytest.raises(Unavailable, match="refuses the user or the password"):
            await mongodb.probe(f"mongodb://writer:wrong@127.0.0.1:{server.port}/shop")
    assert {name: one.can_write for name, one in found.items()} == {"boss": True, "reader": False, "writer": True}
    assert {name for name, one in found.items() if one.is_superuser} == {"boss"}


async def test_the_privileges_that_a_mongodb_lists_say_who_can_write() -> None:
    for resource in ({"db": "shop", "collection": ""}, {"db": "", "collection": ""}, {"anyResource": True}):
        assert mongodb.may_write([{"resource": resource, "actions": ["find", "insert"]}], "shop")
    assert not mongodb.may_write([{"resource": {"db": "other", "collection": ""}, "actions": ["insert"]}], "shop")
    assert not mongodb.may_write([{"resource": {"db": "shop", "collection": ""}, "actions": ["find"]}], "shop")


async def test_a_mongodb_that_is_away_says_so_without_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongodb, "CONNECT_SECONDS", 0.3)
    with pytest.raises(Unavailable) as refused:
        await mongodb.probe(f"mongodb://ann:{PASSWORD}@127.0.0.1:{closed_port()}/shop")
    assert refused.value.message == "The database cannot be used: no answer within 0.3 s"


async def test_the_database_of_a_mongodb_is_found_behind_several_hosts() -> None:
    assert mongodb.database_name("mongodb://ann:x@one:1,two:2/shop?replicaSet=a") == "shop"
    with pytest.raises(ValueError):
        mongodb.database_name("mongodb://one,two/")
