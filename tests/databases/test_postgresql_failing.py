"""What may go wrong while deploying into PostgreSQL: bad rows, missing rows, circles, few rights, several at once."""

import asyncio

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.databases.postgresql.target import PostgresTarget
from application.ports.databases import DeployOptions, Order
from domain.errors import Clash, Invalid, Unavailable
from tests.databases.packages import Packed
from tests.databases.test_postgresql_deploying import COUNT, DEFINITIONS, deploy, pack, rows
from tests.databases.test_postgresql_reading import SCHEMA, run

TREE = """create table things (id int generated always as identity primary key, name text, size int check (size < 9),
             part_of int references things);"""
FILLED = """insert into things (name, size, part_of) values
             ('house', 1, null), ('room', 99, 1), ('bed', 1, 2), ('pillow', 1, 3), ('garden', 1, 1)"""
LOOSE = TREE.replace("check (size < 9)", "")
CIRCLE = """create table husbands (id serial primary key, name text, wife int not null);
            create table wives (id serial primary key, name text, husband int not null references husbands);
            alter table husbands add constraint married foreign key (wife) references wives;"""
COUPLES = """alter table husbands alter constraint married deferrable initially deferred;
             begin; insert into husbands (name, wife) values ('Abe', 1), ('Bob', 2);
             insert into wives (name, husband) values ('Ada', 1), ('Bea', 2); commit"""
MARRIED = "select h.name, w.name from husbands h join wives w on w.id = h.wife and w.husband = h.id order by 1"

WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


async def test_what_fails_is_left_out_with_all_that_depends_on_it(shop: str, other: str) -> None:
    run(shop, LOOSE + FILLED)
    run(other, TREE + "insert into things (name) select 'old' from generate_series(1, 10)")
    package = await pack(shop, "things")
    with pytest.raises(Clash, match="things_size_check") as refused:
        await deploy(other, package)
    assert "room" not in str(refused.value)
    outcome = (await deploy(other, package, continue_on_error=True)).tables["things"]
    assert (outcome.new, outcome.failed) == (2, 3)
    assert "room" not in str(outcome.failures)
    assert [(f["key"], "check constraint" in f["reason"]) for f in outcome.failures] == [
        ("2", True),
        ("3", False),
        ("4", False),
    ]
    assert rows(other, "select t.name, p.name from things t join things p on p.id = t.part_of") == [("garden", "house")]


async def test_values_that_the_target_cannot_read_are_left_out(shop: str, other: str) -> None:
    run(shop, "create table words (id int primary key, word text); insert into words values (1, 'four'), (2, '5')")
    run(other, "create table words (id int primary key, word numeric(3, 1))")
    package = await pack(shop, "words")
    with pytest.raises(Invalid, match="invalid input syntax"):
        await deploy(other, package)
    outcome = (await deploy(other, package, continue_on_error=True)).tables["words"]
    assert (outcome.new, outcome.failed, outcome.failures[0]["key"]) == (1, 1, "1")


async def test_what_is_too_long_fails_and_is_never_cut(shop: str, other: str) -> None:
    run(shop, "create table words (id int primary key, word text); insert into words values (1, 'long'), (2, 'ok')")
    run(other, "create table words (id int primary key, word varchar(3))")
    outcome = (await deploy(other, await pack(shop, "words"), continue_on_error=True)).tables["words"]
    assert (outcome.new, outcome.failed) == (1, 1)
    assert "too long" in outcome.failures[0]["reason"]


async def test_many_bad_rows_among_good_ones_are_counted_exactly(shop: str, other: str) -> None:
    run(
        shop,
        "create table n (id int primary key, v int); insert into n select i, i % 97 from generate_series(1, 5000) i",
    )
    run(other, "create table n (id int primary key, v int check (v <> 13))")
    outcome = (await deploy(other, await pack(shop, "n"), continue_on_error=True)).tables["n"]
    bad = rows(shop, "select count(*) from n where v = 13")[0][0]
    assert (outcome.new, outcome.failed, len(outcome.failures)) == (5000 - bad, bad, bad)
    again = (await deploy(other, await pack(shop, "n"), "2", continue_on_error=True)).tables["n"]
    assert (again.new, again.same, again.failed) == (0, 5000 - bad, bad)


async def test_rows_that_refer_to_nothing_are_left_out_or_refused_by_their_values(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    package = await pack(shop, "orders", "customers", where={"customers": "id <> 4"})
    with pytest.raises(Invalid, match=r"orders \(customer\) refers to customers \(id\), .* missing: 4$"):
        await deploy(other, package)
    assert rows(other, COUNT) == [(0,)]
    outcome = await deploy(other, package, continue_on_error=True)
    assert [(o.new, o.failed) for o in outcome.tables.values()] == [(3, 0), (2, 1)]


async def test_a_generated_key_that_means_another_row_here_is_no_parent(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS + "insert into customers (name) select 'stranger' from generate_series(1, 9)")
    package = await pack(shop, "orders", "customers", where={"customers": "id <> 4"})
    with pytest.raises(Invalid, match="missing: 4"):
        await deploy(other, package, validate_references=False)


async def test_references_follow_what_another_package_brought(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS + "insert into customers (name) select 'stranger' from generate_series(1, 9)")
    people = Order("1", "people", DeployOptions())
    await PostgresTarget(other).deploy(await pack(shop, "customers"), people, lambda table, count: None)
    await deploy(other, await pack(shop, "orders"), "2")
    found = "select name from customers c join orders o on o.customer = c.id order by 1"
    assert rows(other, found) == rows(shop, found)


async def test_circles_of_keys_that_may_not_be_null_are_loaded_and_checked(shop: str, other: str) -> None:
    run(shop, CIRCLE + COUPLES)
    run(other, CIRCLE + "select setval('husbands_id_seq', 70)")
    package = await pack(shop, "husbands", "wives")
    await deploy(other, package)
    assert rows(other, MARRIED) == rows(shop, MARRIED)
    assert rows(other, "select bool_or(condeferrable) from pg_constraint") == [(False,)]
    await PostgresTarget(other).roll_back("1", False, lambda table, count: None)
    assert rows(other, "select count(*) from husbands") == [(0,)]


async def test_who_does_not_own_a_circle_is_told_so_unless_a_key_may_be_null(shop: str, other: str) -> None:
    run(shop, CIRCLE + COUPLES)
    guest = as_guest(other, CIRCLE)
    package = await pack(shop, "husbands", "wives")
    with pytest.raises(Invalid, match="closes a circle"):
        await deploy(guest, package)
    run(other, "alter table husbands alter wife drop not null; alter table wives alter husband drop not null")
    await deploy(guest, package)
    assert rows(other, MARRIED) == rows(shop, MARRIED)


def as_guest(dsn: str, script: str) -> str:
    """The database for a role that may read and write its tables, and owns none of them."""
    run(dsn, script)
    name = "guest_" + str(rows(dsn, "select current_database()")[0][0])
    run(
        dsn,
        f"""create role {name} login password 'guest'; grant create on database {name[6:]} to {name};
            grant select, insert, update, delete on all tables in schema public to {name};
            grant usage, select, update on all sequences in schema public to {name}""",
    )
    return make_conninfo(dsn, user=name, password="guest")


async def test_a_dry_run_takes_nothing_from_sequences(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS + "insert into customers (name) values ('old')")
    await deploy(other, await pack(shop, "customers", "orders"), dry_run=True)
    run(other, "insert into customers (name) values ('next'); insert into orders (customer) values (1)")
    assert rows(other, "select max(id) from customers union all select max(id) from orders") == [(2,), (1,)]


async def test_sequences_go_on_behind_what_was_brought(shop: str, other: str) -> None:
    made = "create table t (place int, id serial, extra int generated by default as identity, primary key (place, id));"
    run(shop, made + "insert into t values (1, 500, 40)")
    run(other, made)
    await deploy(other, await pack(shop, "t"))
    run(other, "insert into t (place) values (1)")
    assert rows(other, "select id, extra from t order by id") == [(500, 40), (501, 41)]


async def test_of_two_deployments_of_a_package_at_once_one_waits(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    package = await pack(shop, "customers")
    both = await asyncio.gather(deploy(other, package, "1"), deploy(other, package, "2"))
    assert sorted(o.tables["customers"].new for o in both) == [0, 4]
    assert rows(other, COUNT) == [(4,)]


async def test_locks_of_others_are_waited_for_only_so_long(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    package = await pack(shop, "customers")
    with psycopg.connect(other) as holder:
        holder.execute("lock table customers")
        with pytest.raises(Unavailable, match="Others held locks"):
            await PostgresTarget(other, lock_seconds=1).deploy(package, Order("1", "p", DeployOptions()), print)


async def test_a_deployment_that_is_called_off_leaves_nothing_and_holds_nothing(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS)
    package = await pack(shop, "customers")
    with psycopg.connect(other) as holder:
        holder.execute("lock table customers in share mode")
        work = asyncio.create_task(deploy(other, package))
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        while rows(other, waiting) == [(0,)]:
            await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert (await deploy(other, package)).tables["customers"].new == 4


async def test_differences_tell_what_a_deployment_would_do(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(other, DEFINITIONS + "insert into products values ('a', 7)")
    package = await pack(shop, "products", "customers")
    found = await PostgresTarget(other).differences(package, Order("1", "shop", DeployOptions()))
    products = found["products"]
    assert (products.new, products.changed, products.same, products.conflict) == (2, 1, 0, 0)
    assert products.samples["changed"][0] == {
        "key": "a",
        "package": {"sku": "a", "price": "1.5000"},
        "target": {"sku": "a", "price": "7.0000"},
    }
    await deploy(other, package, update_existing=True)
    run(other, "update products set price = 0 where sku = 'b'")
    products = (await PostgresTarget(other).differences(package, Order("2", "shop", DeployOptions())))["products"]
    assert (products.new, products.changed, products.same, products.conflict) == (0, 0, 2, 1)


async def test_a_rollback_that_would_take_what_others_attached_is_refused(shop: str, other: str) -> None:
    run(shop, SCHEMA)
    run(
        other,
        DEFINITIONS.replace("customer int references customers", "customer int references customers on delete cascade"),
    )
    await deploy(other, await pack(shop, "customers"))
    run(other, "insert into orders (customer) select id from customers limit 1")
    with pytest.raises(Clash, match="1 rows of orders refer to rows of customers"):
        await PostgresTarget(other).roll_back("1", False, lambda table, count: None)
    await PostgresTarget(other).roll_back("1", True, lambda table, count: None)
    assert rows(other, "select count(*) from orders") == [(0,)]


async def test_progress_adds_up_to_all_rows(shop: str, other: str) -> None:
    run(shop, "create table n as select i as id from generate_series(1, 9000) i; alter table n add primary key (id)")
    run(other, "create table n (id int primary key)")
    told: list[int] = []
    package = await pack(shop, "n")
    lines = [line for batch in package.lines["n"] for line in batch]
    package = Packed(package.tables, {"n": [lines[:4000], lines[4000:]]})
    order = Order("1", "p", DeployOptions())
    await PostgresTarget(other).deploy(package, order, lambda table, count: told.append(count))
    assert (sum(told), len(told) > 2) == (9000, True)


async def stand_still(dsn: str) -> None:
    """Makes a table, and says nothing until the server has given the session up."""
    async with PostgresTarget(dsn).transaction() as connection:
        await connection.execute("create table begun (); set local idle_in_transaction_session_timeout = '10ms'")
        ended = "select from pg_stat_activity where application_name = 'rollbook' and datname = current_database()"
        while rows(dsn, ended):
            await asyncio.sleep(0.02)
        await connection.execute("select 1")


async def test_who_stands_still_in_the_midst_of_a_transaction_may_begin_again(other: str) -> None:
    with pytest.raises(Unavailable, match="took back what was begun"):
        await stand_still(other)
    assert rows(other, "select to_regclass('begun')") == [(None,)]
