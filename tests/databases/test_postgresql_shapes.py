"""Tables of all shapes: with tables that inherit from them, in parts, with unique indexes; and what is no table."""

import pytest

from adapters.databases.postgresql.reading import PostgresSource
from adapters.databases.postgresql.target import PostgresTarget
from application.ports.databases import Selection
from domain.errors import Invalid
from tests.databases.test_postgresql_deploying import deploy, pack, rows
from tests.databases.test_postgresql_reading import packed, run

INHERITED = """
create table cities (id int primary key, name text);
create table capitals (country text, primary key (id)) inherits (cities);
create table visits (city int references cities, note text);
insert into cities values (1, 'Bonn'), (2, 'Ulm'); insert into capitals values (3, 'Rome', 'Italy');
insert into visits values (1, 'rain');
"""
DIVIDED = """
create table sales (id int, day date, primary key (id, day)) partition by range (day);
create table january partition of sales for values from ('2026-01-01') to ('2026-02-01');
create table later partition of sales for values from ('2026-02-01') to ('2027-01-01') partition by range (day);
create table february partition of later for values from ('2026-02-01') to ('2026-03-01');
create view sold as select * from sales; create materialized view counted as select count(*) from sales;
"""
SOLD = "insert into sales values (1, '2026-01-05'), (2, '2026-02-05'), (3, '2026-01-06');"
ITEMS = "create table items (id serial primary key, code text, shop int, name text);"


async def test_rows_of_tables_that_inherit_are_packed_once(shop: str) -> None:
    run(shop, INHERITED)
    found = await packed(shop, tables=("cities", "capitals"))
    assert found == {"cities": [["1", "Bonn"], ["2", "Ulm"]], "capitals": [["3", "Rome", "Italy"]]}
    chosen = await packed(shop, tables=("cities",), where={"cities": "id > 1"}, include_related=True)
    assert chosen == {"cities": [["2", "Ulm"]], "visits": []}


async def test_rows_of_tables_that_inherit_are_counted_once(shop: str) -> None:
    run(shop, INHERITED)
    async with PostgresSource(shop).read(Selection(tables=("cities",))) as reading:
        found = await reading.count("cities")
    assert (found.rows, found.reasons) == (2, {"selected": 2})


async def test_tables_that_inherit_are_deployed_each_with_its_rows(shop: str, other: str) -> None:
    run(shop, INHERITED)
    run(other, INHERITED.partition("insert")[0])
    await deploy(other, await pack(shop, "cities", "capitals", "visits"))
    each = "select tableoid::regclass::text, id, name from cities order by id"
    assert rows(other, each) == rows(shop, each)


async def test_rows_of_tables_that_inherit_are_never_taken_for_those_of_the_table(shop: str, other: str) -> None:
    run(shop, INHERITED)
    run(other, INHERITED.partition("insert")[0] + "insert into capitals values (1, 'Oslo', 'Norway'), (2, 'Ulm', 'x')")
    package = await pack(shop, "cities")
    assert (await deploy(other, package)).tables["cities"].new == 2
    assert (await deploy(other, package, "2", update_existing=True)).tables["cities"].same == 2
    run(shop, "update cities set name = 'Berlin' where id = 1")
    changed = await deploy(other, await pack(shop, "cities"), "3", update_existing=True)
    assert changed.tables["cities"].changed == 1
    for name in ("3", "2", "1"):
        await PostgresTarget(other).roll_back(name, False, lambda table, count: None)
    assert rows(other, "select name from cities order by id") == [("Oslo",), ("Ulm",)]


async def test_sequences_do_not_go_on_behind_rows_of_tables_that_inherit(shop: str, other: str) -> None:
    made = "create table cities (place int primary key, id serial); create table capitals () inherits (cities);"
    run(shop, made + "insert into cities values (1, 7)")
    run(other, made + "insert into capitals values (1, 5000)")
    await deploy(other, await pack(shop, "cities"))
    assert rows(other, "select nextval('cities_id_seq')") == [(8,)]


@pytest.mark.parametrize("where", [{}, {"sales": "id > 0"}])
async def test_tables_in_parts_are_packed_and_deployed_whole(shop: str, other: str, where: dict[str, str]) -> None:
    run(shop, DIVIDED + SOLD)
    run(other, DIVIDED)
    package = await pack(shop, "sales", where=where)
    assert [table.name for table in package.tables] == ["sales"]
    await deploy(other, package)
    each = "select tableoid::regclass::text, id from sales order by id"
    assert rows(other, each) == rows(shop, each) != []


async def test_tables_in_parts_are_updated_and_taken_back_whole(shop: str, other: str) -> None:
    noted = DIVIDED.replace("day date,", "day date, note text,")
    run(shop, noted + "insert into sales values (1, '2026-01-05', 'a'), (2, '2026-02-05', 'b')")
    run(other, noted + "insert into sales values (2, '2026-02-05', 'old'), (3, '2026-02-06', 'mine')")
    outcome = (await deploy(other, await pack(shop, "sales"), update_existing=True)).tables["sales"]
    assert (outcome.new, outcome.changed) == (1, 1)
    again = (await deploy(other, await pack(shop, "sales"), "2", update_existing=True)).tables["sales"]
    assert (again.new, again.changed, again.same) == (0, 0, 2)
    for name in ("2", "1"):
        await PostgresTarget(other).roll_back(name, False, lambda table, count: None)
    assert rows(other, "select id, note from sales order by id") == [(2, "old"), (3, "mine")]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("sold", "a view"),
        ("counted", "a materialized view"),
        ("february", "a part of the table sales"),
        ("later", "a part of the table sales"),
    ],
)
async def test_what_is_no_table_by_itself_is_refused_by_what_it_is(shop: str, name: str, what: str) -> None:
    run(shop, DIVIDED)
    with pytest.raises(Invalid, match=f"'{name}' is {what}; only whole tables are packed"):
        await packed(shop, tables=(name,))
    assert list(await PostgresSource(shop).catalog()) == ["sales"]


FOREIGN = """
create schema elsewhere; create foreign data wrapper nowhere; create server far foreign data wrapper nowhere;
create foreign table {} (id int, day date) server far;
"""


@pytest.mark.parametrize(
    ("there", "what"),
    [
        ("create view {} as select 1 as id, now()::date as day", "a view"),
        ("create materialized view {} as select 1 as id, now()::date as day", "a materialized view"),
        (FOREIGN, "a foreign table"),
        (
            "create table years (id int, day date) partition by range (day);"
            "create table {} partition of years for values from ('2026-01-01') to ('2027-01-01')",
            "a part of the table years",
        ),
    ],
    ids=lambda text: text[:20],
)
async def test_what_is_no_table_by_itself_is_not_deployed_into_and_told_by_what_it_is(
    shop: str, other: str, there: str, what: str
) -> None:
    run(shop, "create table sales (id int primary key, day date); insert into sales values (1, '2026-01-05')")
    run(other, there.format("sales"))
    with pytest.raises(Invalid, match=f"'sales' is {what}; only whole tables are deployed to"):
        await deploy(other, await pack(shop, "sales"))


async def test_unique_indexes_tell_which_rows_exist_as_constraints_do(shop: str, other: str) -> None:
    run(shop, ITEMS + "insert into items (code, shop, name) values ('a', 1, 'new'), ('b', 1, 'b')")
    run(other, ITEMS + "create unique index once on items (shop, code) include (name)")
    run(other, "insert into items (id, code, shop, name) values (70, 'a', 1, 'old')")
    outcome = await deploy(other, await pack(shop, "items"), update_existing=True)
    assert (outcome.tables["items"].new, outcome.tables["items"].changed) == (1, 1)
    assert outcome.keys["items"]["1"] == "70"
    assert rows(other, "select name from items where id = 70") == [("new",)]


@pytest.mark.parametrize("index", ["(shop) where code <> 'a'", "(lower(code))", "(shop, lower(code))"])
async def test_indexes_that_do_not_tell_all_rows_apart_say_nothing(shop: str, other: str, index: str) -> None:
    run(shop, ITEMS + "insert into items (code, shop) values ('B', 1)")
    run(other, f"{ITEMS} insert into items (code, shop) values ('a', 1); create unique index once on items {index}")
    assert (await PostgresSource(other).catalog())["items"].unique == ()
    assert (await deploy(other, await pack(shop, "items"))).tables["items"].new == 1


async def test_a_match_key_comes_before_unique_indexes(shop: str, other: str) -> None:
    run(shop, ITEMS + "insert into items (code, shop, name) values ('a', 1, 'x')")
    run(other, ITEMS + "create unique index once on items (code)")
    run(other, "insert into items (id, code, name) values (70, 'a', 'y'), (80, 'b', 'x')")
    package = await pack(shop, "items", match_keys={"items": ("name",)})
    assert (await deploy(other, package)).keys["items"] == {"1": "80"}
