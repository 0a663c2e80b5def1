"""Packing from MariaDB: one snapshot, whole closures, exact values, odd names."""

import re
from typing import Any

import orjson
import pytest

from adapters.databases.mysql.reading import MysqlSource
from application.ports.databases import Mask, Reading, Selection
from domain.dataset import ForeignKey, KeyStrategy
from domain.errors import Invalid, Unavailable
from tests.databases.servers import Shop

SCHEMA = """
create table customers (id int unsigned auto_increment primary key, name varchar(50), boss int unsigned,
                        foreign key (boss) references customers (id));
create table products (sku varchar(20) primary key, price decimal(12, 4));
create table orders (id bigint auto_increment primary key, customer int unsigned, made timestamp null,
                     foreign key (customer) references customers (id));
create table items (order_id bigint, line int, sku varchar(20), primary key (order_id, line),
                    foreign key (order_id) references orders (id), foreign key (sku) references products (sku));
create table notes (item_order bigint, item_line int, body text,
                    foreign key (item_order, item_line) references items (order_id, line))
"""
ROWS = """
insert into customers (name, boss) values ('Ann', null), ('Bob', 1), ('Cid', 2), ('Dot', null);
insert into products values ('a', 1.5), ('b', 99999999.0001), ('c', 0);
insert into orders (customer, made) values (3, '2025-03-01 10:00:00'), (4, '2025-01-01'), (1, null);
insert into items values (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c');
insert into notes values (1, 2, 'a\\nb"\\\\'), (null, null, null)
"""


async def packed(shop: Shop, **selection: Any) -> dict[str, list[list[str | None]]]:
    """Everything that a selection packs, by table."""
    async with MysqlSource(shop.dsn).read(Selection(**selection)) as reading:
        return {table.name: await rows_of(reading, table.name) for table in reading.tables}


async def rows_of(reading: Reading, table: str) -> list[list[str | None]]:
    """All rows of a table."""
    return [orjson.loads(line) async for lines in reading.rows(table) for line in lines]


async def test_chosen_rows_come_with_all_that_they_need_and_no_more(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA, ROWS)
    found = await packed(maria_shop, tables=("notes",), where={"notes": "body is not null"}, include_parent=True)
    assert list(found)[-2:] == ["items", "notes"]
    assert [row[1] for row in found["customers"]] == ["Ann", "Bob", "Cid"]
    assert found["items"] == [["1", "2", "b"]]
    assert found["products"] == [["b", "99999999.0001"]]
    assert found["orders"] == [["1", "3", "2025-03-01 10:00:00"]]
    assert found["notes"] == [["1", "2", 'a\nb"\\']]


async def test_what_needs_chosen_rows_comes_along_on_request(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA, ROWS)
    chosen = {"tables": ("orders",), "where": {"orders": "id = 1"}, "include_related": True}
    one_down, two_down = (
        await packed(maria_shop, **chosen, max_depth=1),
        await packed(maria_shop, **chosen, max_depth=2),
    )
    assert {table: len(rows) for table, rows in one_down.items()} == {"orders": 1, "items": 2, "notes": 0}
    assert {table: len(rows) for table, rows in two_down.items()} == {"orders": 1, "items": 2, "notes": 1}


async def test_references_that_only_the_user_knows_are_followed(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA, ROWS, "create table labels (product varchar(20)); insert into labels values ('b')")
    key = ForeignKey("label", "labels", ("product",), "products", ("sku",), virtual=True)
    found = await packed(maria_shop, tables=("labels",), virtual_foreign_keys=(key,), include_parent=True)
    assert found == {"products": [["b", "99999999.0001"]], "labels": [["b"]]}


async def test_cycles_between_tables_end(maria_shop: Shop) -> None:
    await maria_shop.run(
        """create table a (id int primary key, b int);
           create table b (id int primary key, a int, foreign key (a) references a (id));
           alter table a add foreign key (b) references b (id);
           insert into a values (1, null), (2, null), (3, null); insert into b values (1, 1), (2, 2);
           update a set b = 3 - id where id < 3"""
    )
    found = await packed(maria_shop, tables=("a",), where={"a": "id = 1"}, include_parent=True)
    assert (found["a"], found["b"]) == ([["1", "2"], ["2", "1"]], [["1", "1"], ["2", "2"]])


async def test_rows_that_look_alike_come_along_together(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA, ROWS, "insert into notes values (1, 2, 'twice'), (1, 2, 'twice'), (1, 1, 'once')")
    chosen = {"tables": ("items",), "where": {"items": "line = 2"}, "include_related": True}
    found = await packed(maria_shop, **chosen)
    assert sorted(row[2] or "" for row in found["notes"]) == ['a\nb"\\', "twice", "twice"]


TYPES = {
    "bigint unsigned": ("18446744073709551615", "18446744073709551615"),
    "int(7) zerofill": ("5", "5"),
    "enum('it''s', 'é')": ("'it''s'", "it's"),
    "set('a', 'b')": ("'a,b'", "a,b"),
    "bit(64)": ("b'1000000000000000000000000000000000000000000000000000000000000001'", "9223372036854775809"),
    "json": ("'{\"a\": [1, null]}'", '{"a": [1, null]}'),
    "decimal(40, 10)": ("123456789012345678901234567890.0000000001", "123456789012345678901234567890.0000000001"),
    "datetime(6)": ("'2025-01-02 03:04:05.000006'", "2025-01-02 03:04:05.000006"),
    "timestamp(3) null": ("'2025-01-02 03:04:05.006'", "2025-01-02 03:04:05.006"),
    "date": ("'0000-00-00'", "0000-00-00"),
    "time(2)": ("'-838:59:58.99'", "-838:59:58.99"),
    "year": ("2025", "2025"),
    "blob": ("x'00ff27'", "00FF27"),
    "binary(4)": ("x'00ff'", "00FF0000"),
    "float": ("0.1", "0.10000000149011612"),
    "double": ("0.1e0 + 0.2e0", "0.30000000000000004"),
    "char(5) character set latin1": ("'é'", "é"),
    "point": ("point(1, 2)", "0;0101000000000000000000F03F0000000000000040"),
    "uuid": ("'0b43851b-b109-4028-ba79-2e49c6138dbc'", "0b43851b-b109-4028-ba79-2e49c6138dbc"),
    "tinyint(1)": ("true", "1"),
    "text": ("null", None),
}


async def test_values_are_exact_and_names_may_be_odd(maria_shop: Shop) -> None:
    odd = 'select `%s` "é"\\'
    quoted = odd.replace("`", "``")
    columns = ", ".join(f'`{n} `` %s "é" {{}}` {kind}' for n, kind in enumerate(TYPES))
    values = ", ".join(value for value, _ in TYPES.values())
    await maria_shop.run(
        f"set names utf8mb4; set sql_mode = ''; create table `{quoted}` (`from` int primary key, {columns}, "
        f"gone int as (1) stored); insert into `{quoted}` values (7, {values}, default)"
    )
    catalog = await MysqlSource(maria_shop.dsn).catalog()
    assert [c.name for c in catalog[odd].columns if c.is_generated] == ["gone"]
    async with MysqlSource(maria_shop.dsn).read(Selection(tables=(odd,))) as reading:
        lines, found = await rows_of(reading, odd), await reading.count(odd)
    assert lines == [["7", *(text for _, text in TYPES.values())]]
    assert (found.rows, found.reasons) == (1, {"selected": 1})


async def test_generated_keys_are_told_from_natural_ones(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA)
    catalog = await MysqlSource(maria_shop.dsn).catalog()
    assert {name: table.strategy for name, table in catalog.items()} == {
        "customers": KeyStrategy.AUTO_INCREMENT,
        "orders": KeyStrategy.AUTO_INCREMENT,
        "products": KeyStrategy.PRESERVE,
        "items": KeyStrategy.PRESERVE,
        "notes": KeyStrategy.PRESERVE,
    }
    assert catalog["notes"].foreign_keys[0].columns == ("item_order", "item_line")


async def test_the_snapshot_does_not_see_what_comes_later(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA, ROWS)
    async with MysqlSource(maria_shop.dsn).read(Selection(tables=("products",))) as reading:
        await maria_shop.run("insert into products values ('d', 1); update products set price = 7")
        found = await rows_of(reading, "products")
    assert found == [["a", "1.5000"], ["b", "99999999.0001"], ["c", "0.0000"]]


async def test_many_rows_come_in_batches_and_a_reader_may_leave(maria_shop: Shop) -> None:
    await maria_shop.run("create table many (id int primary key, body text)")
    await maria_shop.run("insert into many select seq, repeat('x', 200) from seq_1_to_20000")
    async with MysqlSource(maria_shop.dsn).read(Selection(tables=("many",))) as reading:
        sizes = [len(lines) async for lines in reading.rows("many")]
        assert sum(sizes) == 20000
        assert len(sizes) > 3
        async for _ in reading.rows("many"):
            break
    assert (await packed(maria_shop, tables=("many",), where={"many": "id < 3"}))["many"][1][0] == "2"


async def test_long_rows_come_few_at_a_time(maria_shop: Shop) -> None:
    await maria_shop.run("create table files (id int primary key, body longblob)")
    await maria_shop.run("insert into files select seq, repeat('x', 600000) from seq_1_to_40")
    async with MysqlSource(maria_shop.dsn).read(Selection(tables=("files",))) as reading:
        sizes = [len(lines) async for lines in reading.rows("files")]
    assert (sum(sizes), max(sizes)) == (40, 10)


@pytest.mark.parametrize(
    "selection",
    [
        {"tables": ("nothing",)},
        {"tables": ("orders",), "where": {"nothing": "true"}},
        {"tables": ("orders",), "exclude": {"orders": frozenset({"nothing"})}},
        {"tables": ("orders",), "match_keys": {"orders": ("nothing",)}},
        {"tables": ("orders",), "where": {"orders": "nothing = 1"}},
        {
            "tables": ("orders",),
            "virtual_foreign_keys": (ForeignKey("x", "orders", ("id",), "customers", ("nothing",), virtual=True),),
        },
    ],
)
async def test_what_is_not_there_is_named(maria_shop: Shop, selection: dict[str, Any]) -> None:
    await maria_shop.run(SCHEMA)
    with pytest.raises(Invalid, match="'nothing'"):
        await packed(maria_shop, **selection)


async def test_excluded_columns_stay_where_they_are(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA, ROWS)
    found = await packed(maria_shop, tables=("products",), exclude={"products": frozenset({"price"})})
    assert found["products"] == [["a"], ["b"], ["c"]]


async def test_excluded_columns_refer_to_nothing_and_tell_nothing_apart(maria_shop: Shop) -> None:
    await maria_shop.run(
        "create table a (id int primary key)",
        "create table b (id int primary key, a int, code int unique, foreign key (a) references a (id))",
    )
    left_out = {"b": frozenset({"a", "code"})}
    async with MysqlSource(maria_shop.dsn).read(Selection(tables=("b",), exclude=left_out)) as reading:
        (table,) = reading.tables
    assert (table.foreign_keys, table.unique, table.primary_key) == ((), (), ("id",))


async def test_masks_hide_values_and_keep_joins_and_types(maria_shop: Shop) -> None:
    await maria_shop.run(
        """create table a (mail varchar(12), pay decimal(8, 2), born date, note text, raw blob);
           create table b (mail varchar(12), code char(9));
           insert into a values ('ann@shop', 1234.50, '1990-02-03', 'secret', x'00ff');
           insert into b values ('ann@shop', 'AB-12 cd'), (null, null)"""
    )
    methods = {"mail": "hash", "pay": "keep-format", "born": "fake", "note": "null", "raw": "hash"}
    masks = {
        "a": {column: Mask(method, "key") for column, method in methods.items()},
        "b": {"mail": Mask("hash", "key"), "code": Mask("keep-format", "key")},
    }
    found = await packed(maria_shop, tables=("a", "b"), masks=masks)
    (mail, pay, born, note, raw), other = found["a"][0], sorted(found["b"], key=repr)
    assert (other[0][0], other[1]) == (mail, [None, None])
    assert re.fullmatch("[A-Z]{2}-[0-9]{2} [a-z]{2}", other[0][1] or "")
    assert "ann" not in (mail or "")
    assert (len(mail or ""), len(raw or ""), note) == (12, 4, None)
    assert re.fullmatch(r"[01][0-9]{3}\.[0-9]{2}", pay or "")
    await maria_shop.run(f"insert into a (pay, born) values ({pay}, '{born}')")
    otherwise = await packed(maria_shop, tables=("b",), masks={"b": {"mail": Mask("hash", "other key")}})
    assert mail not in [row[0] for row in otherwise["b"]]
    with pytest.raises(Invalid, match="'rot13'"):
        await packed(maria_shop, tables=("a",), masks={"a": {"born": Mask("rot13")}})


async def test_a_user_who_may_only_read_packs_what_needs_no_following(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA, ROWS)
    reader = await maria_shop.reader()
    assert len((await packed(reader, tables=("orders",)))["orders"]) == 3
    with pytest.raises(Invalid, match="CREATE TEMPORARY TABLES"):
        await packed(reader, tables=("orders",), include_parent=True)


async def test_a_source_that_takes_too_long_says_so(maria_shop: Shop) -> None:
    await maria_shop.run(SCHEMA)
    async with maria_shop.server.connected(maria_shop.name) as other:
        await other.query("lock tables products write")
        with pytest.raises(Invalid, match="took longer"):
            async with MysqlSource(maria_shop.dsn, timeout_seconds=1).read(Selection(tables=("products",))) as reading:
                await rows_of(reading, "products")


async def test_a_source_that_is_not_there_is_refused_without_a_word_of_its_address() -> None:
    with pytest.raises(Unavailable) as problem:
        await MysqlSource("mysql://me:secret@127.0.0.1:9/shop").catalog()
    why = "nobody listens there, or its host's name is not known"
    assert problem.value.message == f"The source does not answer as it should: {why}"
