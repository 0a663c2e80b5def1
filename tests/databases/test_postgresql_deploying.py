"""Deploying into PostgreSQL: keys made anew, references kept, nothing twice, nothing lost, everything undone."""

from typing import Any

import psycopg
import pytest

from adapters.databases.postgresql.reading import PostgresSource
from adapters.databases.postgresql.target import PostgresTarget
from application.ports.databases import DeployOptions, Order, Selection
from domain.errors import Clash, Invalid, NotFound
from tests.databases.packages import Packed
from tests.databases.test_postgresql_reading import SCHEMA, run

DEFINITIONS = SCHEMA.partition("insert into")[0]
COUNT = "select count(*) from customers"
TREE = """select c.name, b.name from customers c left join customers b on b.id = c.boss order by c.name"""
SALES = """select c.name, i.line, p.price from items i join orders o on o.id = i.order_id
             join customers c on c.id = o.customer join products p using (sku) order by 1, 2"""


async def pack(dsn: str, *tables: str, **facts: Any) -> Packed:
    """Packs whole tables."""
    matching = facts.pop("match_keys", {})
    async with PostgresSource(dsn).read(Selection(tables=tables, **facts)) as reading:
        lines = {t.name: [lines async for lines in reading.rows(t.name)] for t in reading.tables}
        return Packed(reading.tables, lines, matching)


def rows(dsn: str, query: str) -> list[Any]:
    """What a query answers."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


async def deploy(dsn: str, package: Packed, name: str = "1", **options: Any) -> Any:
    """Deploys with some options."""
    order = Order(name, "shop", DeployOptions(**options))
    return await PostgresTarget(dsn).deploy(package, order, lambda table, count: None)


ALL = ("notes", "customers", "orders", "items", "products")


@pytest.fixture
async def package(shop: str) -> Packed:
    """Everything that a shop has."""
    run(shop, SCHEMA)
    return await pack(shop, *ALL)


async def test_rows_get_keys_of_the_target_and_still_refer_to_each_other(
    shop: str, other: str, package: Packed
) -> None:
    run(other, DEFINITIONS + "insert into customers (name) select 'old' from generate_series(1, 7)")
    outcome = await deploy(other, package)
    assert outcome.tables["customers"].new == 4
    assert outcome.keys["customers"]["1"] == "8"
    assert rows(other, SALES) == rows(shop, SALES)
    assert [r for r in rows(other, TREE) if r[0] != "old"] == rows(shop, TREE)
    run(other, "insert into customers (name) values ('next')")


async def test_deploying_again_changes_nothing(other: str, package: Packed) -> None:
    run(other, DEFINITIONS)
    await deploy(other, package)
    before = rows(other, SALES)
    again = await deploy(other, package, "2", update_existing=True)
    assert {t: (o.new, o.changed) for t, o in again.tables.items() if t != "notes"} == {
        t: (0, 0) for t in ALL if t != "notes"
    }
    assert rows(other, SALES) == before


async def test_the_same_deployment_is_only_made_once(other: str, package: Packed) -> None:
    run(other, DEFINITIONS)
    first = await deploy(other, package)
    second = await deploy(other, package)
    assert (first.repeated, second.repeated) == (False, True)
    assert second.tables == first.tables


async def test_a_dry_run_tells_the_same_and_leaves_nothing(other: str, package: Packed) -> None:
    run(other, DEFINITIONS)
    dry = await deploy(other, package, dry_run=True)
    assert rows(other, COUNT) == [(0,)]
    assert (await deploy(other, package)).tables == dry.tables


async def test_a_dry_run_tells_only_the_keys_of_rows_that_are_there(shop: str, other: str) -> None:
    run(other, DEFINITIONS + "insert into customers (id, name) overriding system value values (500, 'Cid')")
    run(shop, SCHEMA)
    package = await pack(shop, "customers", "orders", match_keys={"customers": ("name",)})
    cid = rows(shop, "select id from customers where name = 'Cid'")[0][0]
    dry = await deploy(other, package, dry_run=True)
    assert dry.keys == {"customers": {str(cid): "500"}, "orders": {}}


async def test_rows_that_a_match_key_finds_keep_their_keys_and_children_attach_to_them(
    shop: str, other: str, package: Packed
) -> None:
    run(other, DEFINITIONS + "insert into customers (id, name) overriding system value values (500, 'Cid')")
    package = await pack(shop, *ALL, match_keys={"customers": ("name",)})
    outcome = await deploy(other, package)
    assert (outcome.tables["customers"].new, outcome.tables["customers"].same) == (3, 1)
    assert rows(other, "select customer from orders where made = '2025-03-01 10:00+00'") == [(500,)]


async def test_rows_that_exist_are_refused_unless_skipped_or_updated(other: str, package: Packed) -> None:
    run(other, DEFINITIONS + "insert into products values ('a', 7)")
    with pytest.raises(Clash, match="1 rows of products exist"):
        await deploy(other, package, skip_existing=False)
    assert rows(other, COUNT) == [(0,)]
    updated = await deploy(other, package, skip_existing=False, update_existing=True)
    assert (updated.tables["products"].changed, rows(other, "select price from products where sku = 'a'")[0][0]) == (
        1,
        1.5,
    )


async def test_a_rollback_restores_what_was_there(other: str, package: Packed) -> None:
    run(other, DEFINITIONS + "insert into products values ('a', 7), ('mine', 1)")
    await deploy(other, package, update_existing=True)
    undone = await PostgresTarget(other).roll_back("1", False, lambda table, count: None)
    assert (undone.tables["customers"].new, undone.tables["products"].changed) == (4, 1)
    assert rows(other, "select sku, price::int from products order by sku") == [("a", 7), ("mine", 1)]
    assert rows(other, COUNT) == [(0,)]
    with pytest.raises(Clash, match="rolled back before"):
        await PostgresTarget(other).roll_back("1", False, lambda table, count: None)


async def test_a_rollback_that_would_lose_later_writes_is_refused_unless_forced(other: str, package: Packed) -> None:
    run(other, DEFINITIONS)
    await deploy(other, package)
    run(other, "update customers set name = 'Anna' where name = 'Ann'")
    with pytest.raises(Clash, match="1 rows of customers"):
        await PostgresTarget(other).roll_back("1", False, lambda table, count: None)
    assert len(rows(other, SALES)) == 3
    await PostgresTarget(other).roll_back("1", True, lambda table, count: None)
    assert rows(other, COUNT) == [(0,)]


async def test_rows_that_others_changed_are_not_overwritten(other: str, package: Packed) -> None:
    run(other, DEFINITIONS)
    await deploy(other, package)
    run(other, "update products set price = 3 where sku = 'a'")
    with pytest.raises(Clash, match="changed in the target"):
        await deploy(other, package, "2", update_existing=True)
    forced = await deploy(other, package, "2", update_existing=True, force=True)
    assert forced.tables["products"].changed == 1


async def test_what_the_target_lacks_is_named(other: str, package: Packed) -> None:
    run(other, DEFINITIONS + "alter table products drop column price")
    with pytest.raises(Invalid, match="'products' has no column 'price'"):
        await deploy(other, package)
    run(other, "alter table products add column price numeric; drop table notes")
    with pytest.raises(Invalid, match="no table 'notes'"):
        await deploy(other, package)
    with pytest.raises(NotFound):
        await PostgresTarget(other).roll_back("9", False, lambda table, count: None)


async def test_a_reference_to_nowhere_leaves_nothing_behind(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    with pytest.raises(
        Invalid, match=r"orders \(customer\) refers to customers \(id\), where these are missing: 1, 3, 4"
    ):
        await deploy(other, await pack(shop, "orders"))
    with pytest.raises(Clash, match="foreign key"):
        await deploy(other, await pack(shop, "orders"), validate_references=False)
    assert rows(other, "select count(*) from orders") == [(0,)]


LOOSE = """
create sequence customer_seq; create sequence payment_seq;
create table customer (id int primary key default nextval('customer_seq'::regclass), name text not null);
create table payment (id int not null default nextval('payment_seq'::regclass), customer int not null,
                      day date not null, primary key (day, id)) partition by range (day);
create table january partition of payment for values from ('2026-01-01') to ('2026-02-01');
create table february partition of payment for values from ('2026-02-01') to ('2026-03-01');
alter table january add constraint january_fkey foreign key (customer) references customer;
alter table february add constraint february_fkey foreign key (customer) references customer;
"""
PAID = "select name, day from payment join customer on customer.id = customer order by 1, 2"


async def test_keys_of_sequences_that_no_column_owns_are_made_anew(shop: str, other: str) -> None:
    run(shop, LOOSE + "insert into customer (name) values ('a'), ('b')")
    run(other, LOOSE + "insert into customer (name) values ('someone else')")
    outcome = await deploy(other, await pack(shop, "customer"))
    assert outcome.keys["customer"] == {"1": "2", "2": "3"}
    assert rows(other, "select name from customer where id = 1") == [("someone else",)]


async def test_references_that_only_partitions_have_are_kept_and_undone(shop: str, other: str) -> None:
    run(shop, LOOSE + "insert into customer (name) values ('a'), ('b')")
    run(shop, "insert into payment (customer, day) values (1, '2026-01-05'), (2, '2026-02-05')")
    run(other, LOOSE + "insert into customer (name) values ('someone else')")
    package = await pack(shop, "payment", include_parent=True)
    assert [(t.name, len(t.foreign_keys)) for t in package.tables] == [("customer", 0), ("payment", 1)]
    await deploy(other, package)
    assert rows(other, PAID) == rows(shop, PAID)
    await PostgresTarget(other).roll_back("1", False, lambda table, count: None)
    assert rows(other, "select name from customer") == [("someone else",)]
