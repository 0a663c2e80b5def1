"""What others write, or wrote into a package, does no harm to a MariaDB target: values, names, races, broken wires."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.databases.mysql.target import MysqlTarget
from application.ports.databases import DeployOptions, Order
from domain.dataset import Column, ForeignKey, KeyStrategy, Table
from domain.errors import Clash, Invalid, Unavailable
from tests.databases.packages import Packed
from tests.databases.servers import MariaDb, Shop, fresh
from tests.databases.test_mysql_deploying import deploy, differences, pack, roll_back
from tests.databases.test_mysql_reading import TYPES

ODD = "a`b \"c\" %s {} 'd' é\\"
QUOTED = ODD.replace("`", "``")


async def test_every_type_arrives_exactly_under_any_name_and_goes_back(maria_shop: Shop, maria_other: Shop) -> None:
    columns = ", ".join(f"`{n}{QUOTED}` {kind}" for n, kind in enumerate(TYPES))
    values = ", ".join(value for value, _ in TYPES.values())
    table = (
        f"create table `{QUOTED}` (`{QUOTED}` int auto_increment primary key, {columns}, me int, gone int as (me + 1)"
    )
    table += f" stored, foreign key (me) references `{QUOTED}` (`{QUOTED}`))"
    for shop in (maria_shop, maria_other):
        await shop.run("set names utf8mb4; set sql_mode = ''; " + table)
    await maria_shop.run(
        f"set names utf8mb4; set sql_mode = ''; insert into `{QUOTED}` values (7, {values}, 7, default)"
    )
    package = await pack(maria_shop, ODD)
    assert (await deploy(maria_other, package)).tables[ODD].new == 1
    came = await pack(maria_other, ODD)
    row, expected = orjson.loads(came.lines[ODD][0][0]), orjson.loads(package.lines[ODD][0][0])
    assert (row[0], row[-1]) == ("1", "1")
    assert row[1:-1] == expected[1:-1]
    await maria_other.run("set sql_mode = ''; " + f"update `{QUOTED}` set `{len(TYPES) - 1}{QUOTED}` = 'changed'")
    await deploy(maria_other, package, "2", update_existing=True, force=True)
    assert (await pack(maria_other, ODD)).lines == came.lines
    await roll_back(maria_other, "2", force=True)
    await roll_back(maria_other, "1", force=True)
    assert await maria_other.rows(f"select count(*) from `{QUOTED}`") == [(0,)]


def table(*columns: Column, **facts: Any) -> Table:
    """A table as somebody describes it."""
    return Table("t", "public", columns, **facts)


ID, NAME = Column("id", "int(11)", True), Column("name", "varchar(50)")
EVIL = "x'); drop table t; -- "
PACKAGES = {
    "values that are no texts": (table(ID, NAME), b'[1, "a"]'),
    "rows that are too long": (table(ID, NAME), b'["1", "a", "b"]'),
    "rows that are no arrays": (table(ID, NAME), b'{"id": "1"}'),
    "no JSON": (table(ID, NAME), b"["),
    "half characters": (table(ID, NAME), b'["1", "\\ud800"]'),
    "no numbers": (table(ID, NAME), b'["1 or 1 = 1", "a"]'),
    "too long texts": (table(ID, NAME), b'["1", "' + b"x" * 60 + b'"]'),
    "columns that are not there": (table(ID, Column(EVIL, "int")), b'["1", "1"]'),
    "a column twice": (table(ID, NAME, NAME), b'["1", "a", "a"]'),
    "no columns": (table(), b"[]"),
    "no key": (table(NAME), b'["a"]'),
    "another name": (replace(table(ID), name=EVIL), b'["1"]'),
    "a table of ours": (replace(table(ID), name="rollbook_lineage"), b'["1"]'),
}


@pytest.mark.parametrize("kind", PACKAGES)
async def test_a_package_with_something_odd_is_refused_and_changes_nothing(maria_shop: Shop, kind: str) -> None:
    await maria_shop.run("create table t (id int primary key, name varchar(50))")
    described, line = PACKAGES[kind]
    with pytest.raises(Invalid):
        await deploy(maria_shop, Packed([described], {described.name: [[line]]}))
    assert await maria_shop.rows("select * from t") == []


async def test_invented_keys_and_references_of_a_package_lead_nowhere(maria_shop: Shop) -> None:
    await maria_shop.run("create table t (id int primary key, name varchar(50))")
    keys = [ForeignKey(EVIL, "t", (EVIL,), EVIL, (EVIL,)), ForeignKey("x", "t", ("id", "name"), "t", ("id",))]
    described = table(
        ID, NAME, primary_key=(EVIL,), foreign_keys=tuple(keys), unique=((EVIL,),), strategy=KeyStrategy.SEQUENCE
    )
    line = orjson.dumps(["1", EVIL])
    await deploy(maria_shop, Packed([described], {"t": [[line]]}))
    assert await maria_shop.rows("select id, name from t") == [(1, EVIL)]


rows = st.lists(st.text(max_size=20), min_size=1, max_size=8, unique=True)


@pytest.fixture
def texts_kept(mariadb: MariaDb) -> Iterator[Callable[[list[str]], None]]:
    """Tries texts in one database."""
    with asyncio.Runner() as loop:
        made = fresh(mariadb)
        shop = loop.run(made.__aenter__())
        loop.run(shop.run("create table t (id int primary key, name longtext collate utf8mb4_bin, raw longblob)"))
        yield lambda texts: loop.run(keep(shop, texts))
        loop.run(made.__aexit__(None, None, None))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=rows)
def test_any_text_is_kept_as_it_is(texts_kept: Callable[[list[str]], None], texts: list[str]) -> None:
    texts_kept(texts)


async def keep(shop: Shop, texts: list[str]) -> None:
    """Deploys texts and looks at them."""
    await shop.run("delete from t")
    raw = Column("raw", "longblob")
    lines = [orjson.dumps([str(n), text, text.encode().hex().upper()]) for n, text in enumerate(texts)]
    await deploy(shop, Packed([table(ID, NAME, raw, primary_key=("id",))], {"t": [lines]}), str(uuid4()))
    assert [orjson.loads(line) for line in (await pack(shop, "t")).lines["t"][0]] == list(map(orjson.loads, lines))
    assert await shop.rows("select count(*) from t where binary name = raw") == [(len(texts),)]


async def test_keys_are_never_given_twice_while_others_write(maria_shop: Shop, maria_other: Shop) -> None:
    await maria_shop.run("create table t (id int auto_increment primary key, name varchar(50))")
    await maria_shop.run("insert into t (name) select seq from seq_1_to_3000")
    await maria_other.run("create table t (id int auto_increment primary key, name varchar(50))")
    package = await pack(maria_shop, "t")
    is_over = asyncio.Event()

    async def others() -> int:
        number = 0
        async with maria_other.server.connected(maria_other.name) as connection:
            while not is_over.is_set():
                await connection.query("insert into t (name) values ('other')")
                number += 1
        return number

    writing = asyncio.create_task(others())
    try:
        for number in range(4):
            order = Order(str(number), f"package {number}", DeployOptions())
            await MysqlTarget(maria_other.dsn).deploy(package, order, lambda table, count: None)
    finally:
        is_over.set()
    written = await writing
    assert written > 10
    assert await maria_other.rows("select count(*), count(distinct id) from t") == [(12000 + written, 12000 + written)]


async def test_two_deployments_of_one_package_at_once_load_it_once(maria_shop: Shop, maria_other: Shop) -> None:
    schema = "create table t (id int auto_increment primary key, name varchar(50))"
    await maria_shop.run(schema, "insert into t (name) select seq from seq_1_to_500")
    await maria_other.run(schema)
    package = await pack(maria_shop, "t")
    first, second = await asyncio.gather(deploy(maria_other, package, "1"), deploy(maria_other, package, "2"))
    assert sorted([first.tables["t"].new, second.tables["t"].new]) == [0, 500]
    assert await maria_other.rows("select count(*) from t") == [(500,)]


WAITING = "select id from information_schema.processlist where db = database() and state like 'Waiting for%'"


async def until(shop: Shop, query: str) -> list[Any]:
    """What a query answers as soon as it answers anything."""
    async with asyncio.timeout(30):
        while not (found := await shop.rows(query)):
            pass
    return found


async def test_who_goes_on_with_a_deployment_ends_the_session_of_who_had_it(
    maria_shop: Shop, maria_other: Shop
) -> None:
    schema = "create table t (id int auto_increment primary key, name varchar(50))"
    await maria_shop.run(schema, "insert into t (name) values ('a')")
    await maria_other.run(schema)
    package = await pack(maria_shop, "t")
    async with maria_other.server.connected(maria_other.name) as other:
        await other.query("lock tables t read")
        before = asyncio.create_task(deploy(maria_other, package, "1"))
        await until(maria_other, WAITING)
        after = asyncio.create_task(deploy(maria_other, package, "1"))
        with pytest.raises(Unavailable):
            await before
    assert (await after).tables["t"].new == 1
    assert await maria_other.rows("select name from t") == [("a",)]


async def test_a_deployment_that_is_cancelled_leaves_nothing_and_ends_on_the_server(
    maria_shop: Shop, maria_other: Shop
) -> None:
    schema = "create table t (id int auto_increment primary key, name varchar(50))"
    await maria_shop.run(schema, "insert into t (name) values ('a')")
    await maria_other.run(schema)
    package = await pack(maria_shop, "t")
    async with maria_other.server.connected(maria_other.name) as other:
        await other.query("lock tables t read")
        deploying = asyncio.create_task(deploy(maria_other, package))
        await until(maria_other, WAITING)
        deploying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deploying
    await until(maria_other, f"select 1 from dual where not exists ({WAITING})")
    assert await maria_other.rows("select * from t") == []


async def test_a_server_that_ends_the_connection_is_one_to_try_again(maria_shop: Shop, maria_other: Shop) -> None:
    schema = "create table t (id int auto_increment primary key, name varchar(50))"
    await maria_shop.run(schema, "insert into t (name) values ('a')")
    await maria_other.run(schema)
    package = await pack(maria_shop, "t")
    async with maria_other.server.connected(maria_other.name) as other:
        await other.query("lock tables t read")
        deploying = asyncio.create_task(deploy(maria_other, package))
        found = await until(maria_other, WAITING)
        await other.query(f"kill {found[0][0]}")
        with pytest.raises(Unavailable):
            await deploying
    assert await maria_other.rows("select * from t") == []
    assert (await deploy(maria_other, package)).tables["t"].new == 1


async def test_nobody_is_waited_for_longer_than_a_while(maria_shop: Shop) -> None:
    await maria_shop.run("create table t (id int primary key, name varchar(50))")
    package = Packed([table(ID, NAME, primary_key=("id",))], {"t": [[b'["1", "a"]']]})
    async with maria_shop.server.connected(maria_shop.name) as other:
        await other.query("lock tables t read")
        order = Order("1", "shop", DeployOptions())
        with pytest.raises(Invalid, match="took longer"):
            await MysqlTarget(maria_shop.dsn, 1).deploy(package, order, lambda table, count: None)


async def test_values_that_only_differ_in_case_or_space_are_changes(maria_shop: Shop, maria_other: Shop) -> None:
    schema = "create table t (id int primary key, name varchar(50))"
    await maria_shop.run(schema, "insert into t values (1, 'Ann '), (2, 'x')")
    await maria_other.run(schema, "insert into t values (1, 'ann'), (2, 'X')")
    package = await pack(maria_shop, "t")
    assert (await differences(maria_other, package))["t"].changed == 2
    await deploy(maria_other, package, update_existing=True)
    assert await maria_other.rows("select name from t order by id") == [("Ann ",), ("x",)]


async def test_two_rows_of_a_package_that_collide_are_refused(maria_shop: Shop) -> None:
    await maria_shop.run("create table t (id int primary key, name varchar(50) unique)")
    package = Packed([table(ID, NAME, primary_key=("id",))], {"t": [[b'["1", "a"]', b'["2", "A"]']]})
    for dry in (True, False):
        with pytest.raises(Clash, match="Duplicate entry"):
            await deploy(maria_shop, package, dry_run=dry)
    outcome = await deploy(maria_shop, package, continue_on_error=True)
    assert (outcome.tables["t"].new, outcome.tables["t"].failed) == (1, 1)
