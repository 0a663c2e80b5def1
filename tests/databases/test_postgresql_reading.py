"""Packing from PostgreSQL: one snapshot, whole closures, exact values, odd names."""

import orjson
import psycopg
import pytest

from adapters.databases.postgresql.reading import PostgresSource
from application.ports.databases import Mask, Reading, Selection
from domain.dataset import ForeignKey, KeyStrategy
from domain.errors import Invalid, Unavailable

SCHEMA = """
create table customers (id int generated always as identity primary key, name text, boss int references customers);
create table products (sku text primary key, price numeric(12, 4));
create table orders (id bigserial primary key, customer int references customers, made timestamptz default now());
create table items (order_id bigint references orders, line int, sku text references products,
                    primary key (order_id, line));
create table notes (item_order bigint, item_line int, body text, foreign key (item_order, item_line) references items);
insert into customers (name, boss) values ('Ann', null), ('Bob', 1), ('Cid', 2), ('Dot', null);
insert into products values ('a', 1.5), ('b', 99999999.0001), ('c', 0);
insert into orders (customer, made) values (3, '2025-03-01 12:00+02'), (4, '2025-01-01'), (1, null);
insert into items values (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c');
insert into notes values (1, 2, E'a\\nb"\\\\'), (null, null, null);
"""


def run(dsn: str, script: str) -> None:
    """Runs a script."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())


async def packed(dsn: str, **selection: object) -> dict[str, list[list[str | None]]]:
    """Everything that a selection packs, by table."""
    async with PostgresSource(dsn).read(Selection(**selection)) as reading:  # type: ignore[arg-type]
        return {table.name: await rows_of(reading, table.name) for table in reading.tables}


async def rows_of(reading: Reading, table: str) -> list[list[str | None]]:
    """All rows of a table."""
    return [orjson.loads(line) async for lines in reading.rows(table) for line in lines]


async def test_chosen_rows_come_with_all_that_they_need_and_no_more(shop: str) -> None:
    run(shop, SCHEMA)
    found = await packed(shop, tables=("notes",), where={"notes": "body is not null"}, include_parent=True)
    assert list(found)[-2:] == ["items", "notes"]
    assert [row[1] for row in found["customers"]] == ["Ann", "Bob", "Cid"]
    assert found["items"] == [["1", "2", "b"]]
    assert found["products"] == [["b", "99999999.0001"]]
    assert found["orders"] == [["1", "3", "2025-03-01 10:00:00+00"]]
    assert found["notes"] == [["1", "2", 'a\nb"\\']]


async def test_what_needs_chosen_rows_comes_along_on_request(shop: str) -> None:
    run(shop, SCHEMA)
    one_down = await packed(shop, tables=("orders",), where={"orders": "id = 1"}, include_related=True, max_depth=1)
    assert {table: len(rows) for table, rows in one_down.items()} == {"orders": 1, "items": 2, "notes": 0}
    two_down = await packed(shop, tables=("orders",), where={"orders": "id = 1"}, include_related=True, max_depth=2)
    assert {table: len(rows) for table, rows in two_down.items()} == {"orders": 1, "items": 2, "notes": 1}


async def test_references_that_only_the_user_knows_are_followed(shop: str) -> None:
    run(shop, SCHEMA + "create table labels (product text); insert into labels values ('b')")
    key = ForeignKey("label", "labels", ("product",), "products", ("sku",), virtual=True)
    found = await packed(shop, tables=("labels",), virtual_foreign_keys=(key,), include_parent=True)
    assert found == {"products": [["b", "99999999.0001"]], "labels": [["b"]]}


async def test_cycles_between_tables_end(shop: str) -> None:
    run(
        shop,
        """create table a (id int primary key, b int); create table b (id int primary key, a int references a);
           alter table a add foreign key (b) references b;
           insert into a values (1, null), (2, null), (3, null); insert into b values (1, 1), (2, 2);
           update a set b = 3 - id where id < 3""",
    )
    found = await packed(shop, tables=("a",), where={"a": "id = 1"}, include_parent=True)
    assert (found["a"], found["b"]) == ([["1", "2"], ["2", "1"]], [["1", "1"], ["2", "2"]])


async def test_values_are_exact_and_names_may_be_odd(shop: str) -> None:
    run(
        shop,
        """create type mood as enum ('sad', 'ok'); create schema "odd schema";
           create table "odd schema"."select ""%s"" é" ("from" uuid primary key, "a b" mood, big numeric, bytes bytea,
             tags text[], doc jsonb, span interval, far float8, gone int generated always as (1) stored);
           insert into "odd schema"."select ""%s"" é" values ('0b43851b-b109-4028-ba79-2e49c6138dbc', 'ok',
             123456789012345678901234567890.000000001, '\\x00ff', '{"a,b",NULL}', '{"x": [1, null]}', '1 mon -2 days',
             'NaN')""",
    )
    name = 'odd schema.select "%s" é'
    catalog = await PostgresSource(shop).catalog()
    assert [c.name for c in catalog[name].columns if c.is_generated] == ["gone"]
    async with PostgresSource(shop).read(Selection(tables=(name,))) as reading:
        lines = [orjson.loads(line) async for batch in reading.rows(name) for line in batch]
        found = await reading.count(name)
    assert lines == [
        [
            "0b43851b-b109-4028-ba79-2e49c6138dbc",
            "ok",
            "123456789012345678901234567890.000000001",
            "\\x00ff",
            '{"a,b",NULL}',
            '{"x": [1, null]}',
            "1 mon -2 days",
            "NaN",
        ]
    ]
    assert (found.rows, found.reasons) == (1, {"selected": 1})


async def test_generated_keys_are_told_from_natural_ones(shop: str) -> None:
    run(shop, SCHEMA)
    catalog = await PostgresSource(shop).catalog()
    assert {name: table.strategy for name, table in catalog.items()} == {
        "customers": KeyStrategy.SEQUENCE,
        "orders": KeyStrategy.SEQUENCE,
        "products": KeyStrategy.PRESERVE,
        "items": KeyStrategy.PRESERVE,
        "notes": KeyStrategy.PRESERVE,
    }
    assert catalog["notes"].foreign_keys[0].columns == ("item_order", "item_line")


async def test_the_snapshot_does_not_see_what_comes_later(shop: str) -> None:
    run(shop, SCHEMA)
    async with PostgresSource(shop).read(Selection(tables=("products",))) as reading:
        run(shop, "insert into products values ('d', 1); delete from notes; delete from items; delete from products")
        assert [orjson.loads(line)[0] async for lines in reading.rows("products") for line in lines] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("selection", "named"),
    [
        ({"tables": ("nothing",)}, "nothing"),
        ({"tables": ("products",), "where": {"products": "weight > 1"}}, "weight"),
        ({"tables": ("products",), "exclude": {"products": frozenset({"colour"})}}, "colour"),
        ({"tables": ("products",), "where": {"products": "price = 'x'"}}, "invalid input syntax"),
    ],
)
async def test_what_is_not_there_is_named(shop: str, selection: dict[str, object], named: str) -> None:
    run(shop, SCHEMA)
    with pytest.raises(Invalid, match=named):
        await packed(shop, **selection)


async def test_a_source_that_is_away_says_so_without_its_address() -> None:
    with pytest.raises(Unavailable) as refusal:
        await PostgresSource("host=127.0.0.1 port=1 password=secret").catalog()
    assert "secret" not in refusal.value.message


async def test_many_rows_are_streamed_whole(shop: str) -> None:
    run(shop, "create table many as select n as id, repeat('é', 200) as text from generate_series(1, 30000) n")
    sizes = []
    async with PostgresSource(shop).read(Selection(tables=("many",))) as reading:
        async for lines in reading.rows("many"):
            sizes.append(sum(map(len, lines)))
            assert all(line.startswith(b"[") and line.endswith(b"]") for line in lines)
    assert len(sizes) > 5
    assert max(sizes) < 2 << 20


async def test_masked_values_are_others_that_fit_and_still_join(shop: str) -> None:
    run(
        shop,
        """create table a (mail varchar(40) primary key, phone text, born date, salary numeric(8, 2), pin text);
           create table b (mail varchar(40) references a, n int);
           insert into a values ('ann@x.org', '+49 30-123', '1980-02-03', 5000.50, '1');
           insert into a values ('bob@x.org', null, null, 1, '2');
           insert into b values ('ann@x.org', 1), ('ann@x.org', 2), ('bob@x.org', 3)""",
    )
    ways = {"mail": "fake", "phone": "keep-format", "born": "hash", "salary": "keep-format", "pin": "null"}
    masks = {"a": {c: Mask(way, "key") for c, way in ways.items()}, "b": {"mail": Mask("fake", "key")}}
    found = await packed(shop, tables=("a", "b"), masks=masks)
    assert await packed(shop, tables=("a", "b"), masks=masks) == found
    (mail, phone, born, salary, pin), (other, nothing, *_) = found["a"]
    assert {row[0] for row in found["b"]} == {mail, other}
    assert mail != "ann@x.org" != other
    assert mail and phone and mail.endswith("@example.com") and phone.startswith("+") and phone != "+49 30-123"
    assert (nothing, pin, salary != "5000.50", born != "1980-02-03") == (None, None, True, True)
    async with PostgresSource(shop).read(Selection(tables=("a",), masks=masks)) as reading:
        assert b"ann@x.org" not in b"".join((await reading.count("a")).sample)


async def test_excluded_columns_refer_to_nothing_and_tell_nothing_apart(shop: str) -> None:
    run(
        shop,
        "create table a (id int primary key); create table b (id int primary key, a int references a, code int unique)",
    )
    left_out = {"b": frozenset({"a", "code"})}
    async with PostgresSource(shop).read(Selection(tables=("b",), exclude=left_out)) as reading:
        (table,) = reading.tables
    assert (table.foreign_keys, table.unique, table.primary_key) == ((), (), ("id",))


async def test_what_cannot_be_masked_or_left_out_is_named(shop: str) -> None:
    run(shop, SCHEMA)
    with pytest.raises(Invalid, match="'sku' takes no null"):
        await packed(shop, tables=("products",), masks={"products": {"sku": Mask("null")}})
    with pytest.raises(Invalid, match="'sku' is in the key"):
        await packed(shop, tables=("products",), exclude={"products": frozenset({"sku"})})
