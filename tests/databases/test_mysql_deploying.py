"""Deploying into MariaDB: keys made anew, references kept, nothing twice, nothing lost, everything undone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.databases.mysql.reading import MysqlSource
from adapters.databases.mysql.target import MysqlTarget
from application.ports.databases import DeployOptions, Difference, Order, Outcome, Selection
from domain.errors import Clash, Invalid, NotFound
from tests.databases.packages import Packed, kept
from tests.databases.servers import Shop
from tests.databases.test_mysql_reading import ROWS, SCHEMA

COUNT = "select count(*) from customers"
TREE = "select c.name, b.name from customers c left join customers b on b.id = c.boss order by c.name"
SALES = """select c.name, i.line, p.price from items i join orders o on o.id = i.order_id
             join customers c on c.id = o.customer join products p using (sku) order by 1, 2"""
ALL = ("notes", "customers", "orders", "items", "products")


async def pack(shop: Shop, *tables: str, **facts: Any) -> Packed:
    """Packs whole tables."""
    matching = facts.pop("match_keys", {})
    async with MysqlSource(shop.dsn).read(Selection(tables=tables, **facts)) as reading:
        lines = {t.name: [lines async for lines in reading.rows(t.name)] for t in reading.tables}
        return Packed(reading.tables, lines, matching)


async def deploy(shop: Shop, package: Packed, name: str = "1", **options: Any) -> Outcome:
    """Deploys with some options."""
    order = Order(name, "shop", DeployOptions(**options))
    return await MysqlTarget(shop.dsn).deploy(package, order, lambda table, count: None)


async def differences(shop: Shop, package: Packed, **options: Any) -> Mapping[str, Difference]:
    """What deploying would do."""
    return await MysqlTarget(shop.dsn).differences(package, Order("1", "shop", DeployOptions(**options)))


async def roll_back(shop: Shop, name: str = "1", force: bool = False) -> Outcome:
    """Takes a deployment back."""
    return await MysqlTarget(shop.dsn).roll_back(name, force, lambda table, count: None)


@pytest.fixture
async def package(maria_shop: Shop) -> Packed:
    """Everything that a shop has."""
    await maria_shop.run(SCHEMA, ROWS)
    return await pack(maria_shop, *ALL)


@pytest.fixture
async def other(maria_other: Shop) -> Shop:
    """A shop without anything in it."""
    await maria_other.run(SCHEMA)
    return maria_other


async def test_rows_get_keys_of_the_target_and_still_refer_to_each_other(
    maria_shop: Shop, other: Shop, package: Packed
) -> None:
    await other.run("insert into customers (name) select 'old' from seq_1_to_7")
    outcome = await deploy(other, package)
    assert outcome.tables["customers"].new == 4
    assert outcome.keys["customers"]["1"] == "8"
    assert await other.rows(SALES) == await maria_shop.rows(SALES)
    assert [r for r in await other.rows(TREE) if r[0] != "old"] == await maria_shop.rows(TREE)
    assert (await other.rows("select count(*) from notes"))[0][0] == 2
    await other.run("insert into customers (name) values ('next')")


async def test_deploying_again_changes_nothing(other: Shop, package: Packed) -> None:
    await deploy(other, package)
    before = await other.rows(SALES)
    again = await deploy(other, package, "2", update_existing=True)
    assert {t: (o.new, o.changed, o.failed) for t, o in again.tables.items()} == dict.fromkeys(ALL, (0, 0, 0))
    assert await other.rows(SALES) == before
    assert (await other.rows("select count(*) from notes"))[0][0] == 2


async def test_a_row_that_somebody_took_out_comes_again_and_nothing_else(
    maria_shop: Shop, other: Shop, package: Packed
) -> None:
    package = await pack(maria_shop, "customers")
    first = await deploy(other, package)
    again = await deploy(other, package, "2")
    assert (again.tables["customers"].same, again.keys) == (4, first.keys)
    await other.run("delete from customers where name = 'Dot'")
    assert (await deploy(other, package, "3")).tables["customers"].new == 1
    await roll_back(other, "3")
    await roll_back(other, "1", force=True)
    assert (await deploy(other, package, "4")).tables["customers"].new == 4


async def test_the_same_deployment_is_only_made_once(other: Shop, package: Packed) -> None:
    first, second = await deploy(other, package), await deploy(other, package)
    assert (first.repeated, second.repeated) == (False, True)
    assert second.tables == first.tables


async def test_a_dry_run_tells_the_same_leaves_nothing_and_takes_no_key(other: Shop, package: Packed) -> None:
    tables = await other.rows("show tables")
    dry = await deploy(other, package, dry_run=True)
    assert await other.rows("show tables") == tables
    assert await other.rows(COUNT) == [(0,)]
    real = await deploy(other, package)
    assert real.tables == dry.tables


async def test_a_dry_run_tells_only_the_keys_of_rows_that_are_there(
    maria_shop: Shop, other: Shop, package: Packed
) -> None:
    await other.run("insert into customers (id, name) values (500, 'Cid')")
    package = await pack(maria_shop, "customers", "orders", match_keys={"customers": ("name",)})
    ((cid,),) = await maria_shop.rows("select id from customers where name = 'Cid'")
    dry = await deploy(other, package, dry_run=True)
    assert dry.keys == {"customers": {str(cid): "500"}, "orders": {}}


async def test_rows_that_a_match_key_finds_keep_their_keys_and_children_attach_to_them(
    maria_shop: Shop, other: Shop, package: Packed
) -> None:
    await other.run("insert into customers (id, name) values (500, 'Cid')")
    package = await pack(maria_shop, *ALL, match_keys={"customers": ("name",)})
    outcome = await deploy(other, package)
    assert (outcome.tables["customers"].new, outcome.tables["customers"].same) == (3, 1)
    assert await other.rows("select customer from orders where made = '2025-03-01 10:00'") == [(500,)]


async def test_children_attach_to_rows_that_a_unique_column_finds_under_another_kept_key(
    maria_shop: Shop, maria_other: Shop
) -> None:
    schema = """create table p (id char(2) primary key, mail varchar(50) unique);
                create table c (id int primary key, p char(2), foreign key (p) references p (id))"""
    await maria_shop.run(schema, "insert into p values ('a', 'x@y'), ('b', 'z@y')", "insert into c values (1, 'a')")
    await maria_other.run(schema, "insert into p values ('q', 'x@y')")
    await deploy(maria_other, await pack(maria_shop, "p", "c"))
    assert await maria_other.rows("select id, p from c") == [(1, "q")]
    assert await maria_other.rows("select id from p order by id") == [("b",), ("q",)]


async def test_rows_that_exist_are_refused_unless_skipped_or_updated(other: Shop, package: Packed) -> None:
    await other.run("insert into products values ('a', 7)")
    with pytest.raises(Clash, match="1 rows of products exist"):
        await deploy(other, package, skip_existing=False)
    assert await other.rows(COUNT) == [(0,)]
    updated = await deploy(other, package, skip_existing=False, update_existing=True)
    assert updated.tables["products"].changed == 1
    assert [str(r[0]) for r in await other.rows("select price from products where sku = 'a'")] == ["1.5000"]


async def test_a_rollback_restores_what_was_there(other: Shop, package: Packed) -> None:
    await other.run("insert into products values ('a', 7), ('mine', 1)")
    await deploy(other, package, update_existing=True)
    undone = await roll_back(other)
    assert (undone.tables["customers"].new, undone.tables["products"].changed) == (4, 1)
    assert await other.rows("select sku, floor(price) from products order by sku") == [("a", 7), ("mine", 1)]
    assert await other.rows(COUNT) == [(0,)]
    assert await other.rows("select count(*) from notes") == [(0,)]
    with pytest.raises(Clash, match="rolled back before"):
        await roll_back(other)


async def test_a_rollback_that_would_lose_later_writes_is_refused_unless_forced(other: Shop, package: Packed) -> None:
    await deploy(other, package)
    await other.run("update customers set name = 'Anna' where name = 'Ann'")
    with pytest.raises(Clash, match="1 rows of customers"):
        await roll_back(other)
    assert len(await other.rows(SALES)) == 3
    await roll_back(other, force=True)
    assert await other.rows(COUNT) == [(0,)]


async def test_a_rollback_never_takes_rows_of_others_along(maria_shop: Shop, maria_other: Shop) -> None:
    schema = """create table p (id int auto_increment primary key, name text);
                create table c (id int primary key, p int, foreign key (p) references p (id) on delete cascade)"""
    await maria_shop.run(schema, "insert into p values (1, 'a')")
    await maria_other.run(schema)
    await deploy(maria_other, await pack(maria_shop, "p"))
    await maria_other.run("insert into c values (1, 1)")
    with pytest.raises(Clash, match="1 rows of c refer to rows of p"):
        await roll_back(maria_other)
    assert await maria_other.rows("select id from c") == [(1,)]


async def test_rows_that_others_changed_are_not_overwritten(other: Shop, package: Packed) -> None:
    await deploy(other, package)
    await other.run("update products set price = 3 where sku = 'a'")
    with pytest.raises(Clash, match="changed in the target"):
        await deploy(other, package, "2", update_existing=True)
    skipped = await deploy(other, package, "3")
    assert skipped.tables["products"].same == 3
    with pytest.raises(Clash, match="changed in the target"):
        await deploy(other, package, "2", update_existing=True)
    forced = await deploy(other, package, "2", update_existing=True, force=True)
    assert forced.tables["products"].changed == 1


async def test_what_the_target_lacks_is_named(other: Shop, package: Packed) -> None:
    await other.run("alter table products drop column price")
    with pytest.raises(Invalid, match="'products' has no column 'price'"):
        await deploy(other, package)
    await other.run("alter table products add column price decimal(12, 4)", "drop table notes")
    with pytest.raises(Invalid, match="no table 'notes'"):
        await deploy(other, package)
    with pytest.raises(NotFound):
        await roll_back(other, "9")


async def test_a_table_that_cannot_take_back_writes_is_refused(maria_shop: Shop, maria_other: Shop) -> None:
    await maria_shop.run("create table a (id int primary key)", "insert into a values (1)")
    await maria_other.run("create table a (id int primary key) engine = myisam")
    with pytest.raises(Invalid, match="MyISAM"):
        await deploy(maria_other, await pack(maria_shop, "a"))


@pytest.mark.parametrize("validate", [True, False])
async def test_a_reference_to_nowhere_leaves_nothing_behind(
    maria_shop: Shop, maria_other: Shop, validate: bool
) -> None:
    await maria_shop.run(SCHEMA, ROWS)
    await maria_other.run(SCHEMA)
    with pytest.raises(Invalid if validate else Clash, match="foreign key"):
        await deploy(maria_other, await pack(maria_shop, "orders"), validate_references=validate)
    assert await maria_other.rows("select count(*) from orders") == [(0,)]


CYCLE = """
create table a (id int auto_increment primary key, b int not null, me int not null, name varchar(10));
create table b (id int auto_increment primary key, a int not null, foreign key (a) references a (id));
alter table a add foreign key (b) references b (id), add foreign key (me) references a (id)
"""
LOOPS = """set foreign_key_checks = 0; insert into a values (1, 2, 2, 'x'), (2, 1, 1, 'y'), (3, 2, 3, 'z');
insert into b values (1, 1), (2, 3)"""
GRAPH = "select x.name, y.name, m.name from a x join b on b.id = x.b join a y on y.id = b.a join a m on m.id = x.me"


async def test_cycles_that_allow_no_null_are_deployed_whole_and_taken_back(maria_shop: Shop, maria_other: Shop) -> None:
    await maria_shop.run(CYCLE, LOOPS)
    await maria_other.run(CYCLE, LOOPS)
    package = await pack(maria_shop, "a", "b")
    outcome = await deploy(maria_other, package)
    assert (outcome.tables["a"].new, outcome.tables["b"].new) == (3, 2)
    graph = sorted(await maria_shop.rows(GRAPH))
    assert sorted(await maria_other.rows(f"{GRAPH} where x.id > 3")) == graph
    await roll_back(maria_other)
    assert sorted(await maria_other.rows(GRAPH)) == graph


async def test_a_cycle_with_a_reference_to_nowhere_is_refused_without_the_check_before(
    maria_shop: Shop, maria_other: Shop
) -> None:
    await maria_shop.run(CYCLE, LOOPS)
    await maria_shop.run("set foreign_key_checks = 0; update a set me = 77 where id = 1")
    await maria_other.run(CYCLE)
    for validate in (True, False):
        with pytest.raises(Invalid, match="1 rows of a refer"):
            await deploy(maria_other, await pack(maria_shop, "a", "b"), validate_references=validate)
    assert await maria_other.rows("select * from a") == []


async def test_bad_rows_are_left_out_with_all_that_needs_them_when_the_rest_may_go_on(
    maria_shop: Shop, other: Shop, package: Packed
) -> None:
    await other.run(
        "alter table customers add check (name <> 'Cid')", "alter table products modify price decimal(5, 4)"
    )
    dry = await deploy(other, package, continue_on_error=True, dry_run=True)
    outcome = await deploy(other, package, continue_on_error=True)
    assert {t: (o.new, o.failed) for t, o in outcome.tables.items()} == {
        "customers": (3, 1),
        "products": (2, 1),
        "orders": (2, 1),
        "items": (1, 2),
        "notes": (1, 1),
    }
    assert dry.tables == outcome.tables
    reasons = {t: {f["key"]: f["reason"] for f in o.failures} for t, o in outcome.tables.items()}
    assert "CONSTRAINT" in reasons["customers"]["3"]
    assert "'price'" in reasons["products"]["b"]
    assert "left out" in reasons["notes"][None]
    assert await other.rows("select sku from items") == [("c",)]
    await roll_back(other)
    assert await other.rows(COUNT) == [(0,)]


async def test_a_row_that_may_neither_be_skipped_nor_updated_is_left_out_alone(other: Shop, package: Packed) -> None:
    await other.run("insert into products values ('c', 7)")
    outcome = await deploy(other, package, continue_on_error=True, skip_existing=False)
    assert (outcome.tables["products"].new, outcome.tables["products"].failed) == (2, 1)


async def test_differences_are_counted_and_shown_and_nothing_is_changed(other: Shop, package: Packed) -> None:
    await other.run("insert into products values ('a', 7), ('c', 0)")
    found = (await differences(other, package))["products"]
    assert (found.new, found.changed, found.same, found.conflict) == (1, 1, 1, 0)
    assert found.samples["new"] == [{"key": "b", "package": {"sku": "b", "price": "99999999.0001"}, "target": None}]
    assert found.samples["changed"][0]["target"] == {"sku": "a", "price": "7.0000"}
    assert len(await other.rows("show tables")) == len(ALL)
    await deploy(other, package)
    await other.run("update products set price = 8 where sku = 'b'")
    found = (await differences(other, package))["products"]
    assert (found.new, found.changed, found.same, found.conflict) == (0, 1, 1, 1)
    assert found.samples["conflict"][0]["target"] == {"sku": "b", "price": "8.0000"}


async def test_the_whole_mapping_of_keys_can_be_read_later(other: Shop, package: Packed, tmp_path: Path) -> None:
    await other.run("insert into customers (id, name) values (10, 'x')")
    await deploy(other, package)
    found = [pair async for batch in MysqlTarget(other.dsn).keys("1", "customers") for pair in batch]
    assert found == [(f"{n}", f"{n + 10}") for n in range(1, 5)]
    assert await kept(MysqlTarget(other.dsn), "customers", tmp_path) == found


async def test_what_became_of_a_deployment_is_told(other: Shop, package: Packed) -> None:
    target = MysqlTarget(other.dsn)
    assert await target.recall("shop", "1") is None
    outcome = await deploy(other, package)
    before = await target.recall("shop", "1")
    assert before is not None
    assert (before.outcome.tables, before.rolled_back) == (outcome.tables, False)
    await roll_back(other)
    after = await target.recall("shop", "1")
    assert after is not None
    assert after.rolled_back


async def test_a_later_part_finds_what_an_earlier_one_brought(maria_shop: Shop, other: Shop, package: Packed) -> None:
    await other.run("insert into customers (id, name) values (10, 'x')")
    await deploy(other, await pack(maria_shop, "customers"))
    await deploy(other, await pack(maria_shop, "orders"), "2")
    assert await other.rows("select customer from orders order by id") == [(13,), (14,), (11,)]
