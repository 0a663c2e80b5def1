"""Targets that change, break off or cannot be told apart: a clear word, and nothing is left behind."""

import asyncio

import psycopg
import pytest

from adapters.databases.postgresql.reading import PostgresSource
from adapters.databases.postgresql.target import PostgresTarget
from application.ports.databases import DeployOptions, Mask, Order, Selection
from domain.errors import Clash, Invalid, Unavailable
from tests.databases.test_postgresql_deploying import ALL, COUNT, DEFINITIONS, SALES, deploy, pack, rows
from tests.databases.test_postgresql_reading import SCHEMA, run

END = """select count(pg_terminate_backend(pid)) from pg_stat_activity
          where wait_event_type = 'Lock' and datname = current_database() and application_name like 'rollbook%'"""
PEOPLE = "create table people (mail text primary key); create table calls (id serial primary key, mail text {});"
CALLED = "insert into people values ('ann@x.org'), ('bob@x.org'); insert into calls (mail) select mail from people;"


@pytest.mark.parametrize("there", ["'Ann', null", "'Ann', null), ('Ann', null"])
async def test_a_match_key_that_tells_rows_not_apart_is_refused(shop: str, other: str, there: str) -> None:
    run(shop, SCHEMA + "update customers set name = 'Ann' where name = 'Dot'" * (there.count("Ann") == 1))
    run(other, DEFINITIONS + f"insert into customers (name, boss) values ({there})")
    before = rows(other, "select * from customers")
    with pytest.raises(Clash, match=r"match key \(name\)"):
        await deploy(other, await pack(shop, "customers", match_keys={"customers": ("name",)}))
    assert rows(other, "select * from customers") == before


async def test_the_server_itself_ends_a_deployment_that_takes_too_long(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    package = await pack(shop, "customers")
    with psycopg.connect(other) as holder:
        holder.execute("lock table customers in share mode")
        with pytest.raises(Invalid, match="target took longer than 1 s"):
            await PostgresTarget(other, timeout_seconds=1).deploy(package, Order("1", "p", DeployOptions()), print)
    assert rows(other, COUNT) == [(0,)]
    assert (await deploy(other, package)).tables["customers"].new == 4


async def test_the_server_itself_ends_packing_that_takes_too_long(shop: str) -> None:
    run(shop, SCHEMA)
    with psycopg.connect(shop) as holder:
        holder.execute("lock table customers")
        with pytest.raises(Invalid, match="source took longer than 1 s"):
            async with PostgresSource(shop, timeout_seconds=1).read(Selection(tables=("customers",))) as reading:
                await reading.count("customers")


async def test_a_connection_that_breaks_off_leaves_nothing(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    package = await pack(shop, *ALL)
    with psycopg.connect(other) as holder:
        holder.execute("lock table items in share mode")
        work = asyncio.create_task(deploy(other, package))
        while rows(other, END) == [(0,)]:
            assert not work.done()
            await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="target does not answer"):
            await work
    assert rows(other, COUNT) == [(0,)]
    assert rows(other, "select to_regclass('rollbook_packages.deployments')") == [(None,)]
    again = await deploy(other, package)
    assert (again.repeated, rows(other, SALES)) == (False, rows(shop, SALES))


async def test_masked_keys_still_refer_to_each_other_in_the_target(shop: str, other: str) -> None:
    run(shop, PEOPLE.format("references people") + CALLED)
    run(other, PEOPLE.format("references people"))
    mask = {"mail": Mask("fake", "key")}
    await deploy(other, await pack(shop, "people", "calls", masks={"people": mask, "calls": mask}))
    assert rows(other, "select count(*) from calls join people using (mail)") == [(2,)]
    assert rows(other, "select count(*) from people where mail like '%@x.org'") == [(0,)]


async def test_keys_that_are_masked_on_one_side_lead_nowhere(shop: str, other: str) -> None:
    run(shop, PEOPLE.format("references people") + CALLED)
    run(other, PEOPLE.format("references people"))
    package = await pack(shop, "people", "calls", masks={"calls": {"mail": Mask("fake", "key")}})
    with pytest.raises(Invalid, match=r"calls \(mail\) refers to people \(mail\), where these are missing: .*@example"):
        await deploy(other, package)
    assert rows(other, "select count(*) from people") == [(0,)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("alter table products drop column price", "table 'products' has no column 'price'"),
        ("alter table products rename to goods", "no table 'products'"),
        ("alter table products add weight int not null", "table 'products' needs a value for 'weight'"),
        ("alter table products alter price type date using null", "products do not fit .*'price': .*type date"),
        ("alter table products alter price type numeric(3, 2)", "products do not fit .*numeric field overflow"),
        ("alter table products alter price set not null, alter price type int", "products do not fit .*'price'"),
        ("alter table products drop column sku cascade, add id int primary key", "has no column 'sku'"),
        (
            "alter table products drop constraint products_pkey cascade, add id uuid primary key",
            "lacks 'id', which is in the key of the target's table 'products'",
        ),
    ],
)
async def test_what_changed_in_the_target_since_packing_is_named(shop: str, other: str, change: str, told: str) -> None:
    run(shop, SCHEMA)
    package = await pack(shop, "products", "customers")
    run(other, DEFINITIONS + change)
    with pytest.raises(Invalid, match=told):
        await deploy(other, package)
    assert rows(other, COUNT) == [(0,)]


async def test_columns_that_the_target_fills_by_itself_need_no_value(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(
        other,
        DEFINITIONS
        + """create domain weight as int not null default 7;
             alter table products add a int not null default 1, add b int not null generated by default as identity,
                                  add c int generated always as (1) stored not null, add d weight""",
    )
    await deploy(other, await pack(shop, "products"))
    assert rows(other, "select distinct a, c, d from products") == [(1, 1, 7)]


async def test_rows_that_are_only_updated_need_no_value_for_what_is_not_packed(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS + "alter table products add weight int not null")
    run(other, "insert into products values ('a', 0, 5), ('b', 0, 5), ('c', 9, 5)")
    outcome = await deploy(other, await pack(shop, "products"), update_existing=True)
    assert outcome.tables["products"].changed == 3
    assert rows(other, "select distinct weight from products") == [(5,)]


@pytest.mark.parametrize("create_missing", [True, False])
async def test_parents_in_the_package_are_always_made(shop: str, other: str, create_missing: bool) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    package = await pack(shop, "items", include_parent=True)
    await deploy(other, package, create_missing=create_missing)
    run(other, "truncate customers cascade")
    again = await deploy(other, package, "2", create_missing=create_missing)
    assert (again.tables["customers"].new, again.tables["products"].new) == (4, 0)
    assert rows(other, SALES) == rows(shop, SALES)


async def test_parents_that_are_not_in_the_package_are_not_invented(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    package = await pack(shop, "orders", "customers", where={"customers": "id <> 4"})
    with pytest.raises(Invalid, match=r"customers \(id\), where these are missing: 4$"):
        await deploy(other, package, create_missing=True)
    assert rows(other, COUNT) == [(0,)]


async def test_parents_without_the_column_that_is_referred_to_are_none(shop: str, other: str) -> None:
    made = """create table shops (id serial primary key, code text unique);
              create table sales (id serial primary key, shop text references shops (code));"""
    run(shop, made + "insert into shops (code) values ('x'); insert into sales (shop) values ('x')")
    run(other, made)
    package = await pack(shop, "shops", "sales", exclude={"shops": frozenset({"code"})})
    with pytest.raises(Invalid, match=r"sales \(shop\) refers to shops \(code\), where these are missing: x"):
        await deploy(other, package, create_missing=True)
    run(other, "insert into shops (code) values ('x')")
    await deploy(other, package)
    assert rows(other, "select shop from sales") == [("x",)]
