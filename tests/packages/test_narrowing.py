"""Exports that hold some of a package: which rows a condition means is decided without asking the source."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from adapters.blobs.store import Blobs
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.packages.evaluating import type_of
from adapters.packages.narrowing import Narrowing, narrowed
from adapters.postgres.pools import Pools
from domain.dataset import Column, DatabaseKind, Table
from domain.errors import Invalid
from domain.manifest import Collection
from tests.conftest import fresh_database
from tests.packages.made import lines_of, packed

pytestmark = pytest.mark.asyncio(loop_scope="module")
POSTGRESQL, MYSQL, MONGODB = DatabaseKind
ROWS = [
    ["1", "Ann", "10.10", "true", "2025-01-01 00:00:00+00", '{"a": 1}', "{x,y}", "100% sure"],
    ["2", "Bob", "9.90", "false", "2024-06-01 00:00:00+00", '{"a": 2}', "{}", "it's"],
    ["3", "çid", None, None, None, None, None, ""],
]
TYPES = (
    *("integer", "character varying(100)", "numeric(12,2)", "boolean"),
    *("timestamp with time zone", "jsonb", "text[]", "mood"),
)
NAMES = ("id", "name", "balance", "active", "seen", "facts", "tags", "No% te")
PEOPLE = Table("people", "public", tuple(map(Column, NAMES, TYPES)), ("id",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pools(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[Pools]:
    with fresh_database(postgres, template) as database:
        found = Pools.of(database.app_url, 2)
        await found.open()
        yield found
        await found.close()


async def chosen(store: Blobs, pools: Pools, clause: str) -> list[int]:
    manifest = await packed(store, [PEOPLE], {"people": ROWS})
    found = await narrowed(manifest, Narrowing((), {"people": clause}), store, pools, "acme")
    return [int(orjson.loads(line)[0]) for line in (await lines_of(store, found))["people"]]


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("active = TRUE", [1]),
        ("balance > 9.95", [1]),
        ("balance < 10", [2]),
        ("id IN (1, 3) AND name <> 'Ann'", [3]),
        ("seen >= '2025-01-01'", [1]),
        ("seen > now()", []),
        ("balance IS NULL", [3]),
        ("facts->>'a' = '2'", [2]),
        ("tags @> ARRAY['x']", [1]),
        ("name ILIKE 'b%'", [2]),
        ("name LIKE '%n%'", [1]),
        ("id % 2 = 1", [1, 3]),
        ("\"No% te\" = 'it''s'", [2]),
        ("people.id = 2", [2]),
        ("true", [1, 2, 3]),
        ("active IS NOT TRUE", [2, 3]),
    ],
)
async def test_a_clause_means_what_it_means_in_postgresql(
    clause: str, expected: list[int], store: Blobs, pools: Pools
) -> None:
    assert await chosen(store, pools, clause) == expected


@pytest.mark.parametrize(
    "clause",
    [
        "",
        " \n",
        "id = (SELECT 1)",
        "id IN (SELECT position FROM rollbook.events)",
        "nope = 1",
        "ctid = '(0,1)'",
        "pg_sleep(10) IS NULL",
        "id = 1; DROP TABLE rollbook.events",
        "id = 1 -- x",
        "name > 1",
        "balance = 'x'",
        "id",
        "1/(id-1) = 1",
        "current_setting('rollbook.organisation') = 'acme'",
    ],
)
async def test_a_hostile_or_senseless_clause_is_refused(clause: str, store: Blobs, pools: Pools) -> None:
    with pytest.raises(Invalid):
        await chosen(store, pools, clause)


async def test_only_types_that_are_listed_are_ever_written(store: Blobs, pools: Pools) -> None:
    hostile = "integer); drop table rollbook.events; --"
    assert type_of(POSTGRESQL, hostile) == "text"
    assert type_of(POSTGRESQL, "numeric ( 12 , 2 )[]") == "numeric[]"
    assert type_of(POSTGRESQL, "timestamp(3) with time zone") == "timestamp with time zone"
    assert type_of(POSTGRESQL, "character(3)") == "bpchar"
    assert type_of(MYSQL, "bigint(20) unsigned") == "numeric"
    assert type_of(MYSQL, "enum('a','b')") == "text"
    table = Table("t", "public", (Column("a", hostile),))
    manifest = await packed(store, [table], {"t": [["1"]]})
    found = await narrowed(manifest, Narrowing((), {"t": "a = '1'"}), store, pools, "acme")
    assert found.records == {"t": 1}


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("active = TRUE", ["1"]),
        ("active = 1", ["1"]),
        ("active IS FALSE", ["2"]),
        ("price > 9.95", ["1"]),
        ("AT < '2025-01-01'", ["2"]),
    ],
)
async def test_rows_of_mysql_know_no_truth_but_one(
    clause: str, expected: list[str], store: Blobs, pools: Pools
) -> None:
    types = {"id": "int", "active": "tinyint(1)", "price": "decimal(9,2)", "at": "datetime(6)"}
    table = Table("t", "shop", tuple(Column(name, kind) for name, kind in types.items()))
    rows = [["1", "1", "10.10", "2025-01-01 00:00:00"], ["2", "0", "9.90", "2024-01-01 00:00:00"]]
    manifest = await packed(store, [table], {"t": rows}, MYSQL)
    found = await narrowed(manifest, Narrowing((), {"t": clause}), store, pools, "acme")
    assert [orjson.loads(line)[0] for line in (await lines_of(store, found))["t"]] == expected


async def test_some_tables_may_be_chosen(store: Blobs, pools: Pools) -> None:
    manifest = await packed(store, match_keys={"customers": ("name",)})
    found = await narrowed(manifest, Narrowing(("sales.orders",)), store, pools, "acme")
    assert (found.records, found.match_keys, found.relationships) == ({"sales.orders": 2}, {}, ())
    assert found.tables[0] == manifest.tables[1]


@pytest.mark.parametrize(
    "narrowing",
    [
        Narrowing(("nope",)),
        Narrowing((), {"nope": "true"}),
        Narrowing(("customers",), {"sales.orders": "true"}),
        Narrowing((), {"customers": {"id": 1}}),
        Narrowing((), {"customers": "active +"}),
    ],
    ids=str,
)
async def test_what_is_not_there_is_named(narrowing: Narrowing, store: Blobs, pools: Pools) -> None:
    with pytest.raises(Invalid):
        await narrowed(await packed(store), narrowing, store, pools, "acme")


async def test_both_conditions_are_told(store: Blobs, pools: Pools) -> None:
    manifest = await packed(store)
    once = await narrowed(manifest, Narrowing((), {"customers": "active"}), store, pools, "acme")
    twice = await narrowed(once, Narrowing((), {"customers": "id > 5"}), store, pools, "acme")
    assert twice.choice.where == {"customers": "(active) AND (id > 5)"}
    assert twice.records == {"customers": 0, "sales.orders": 2}


async def test_many_rows_are_tried_some_at_a_time(store: Blobs, pools: Pools) -> None:
    table = Table("n", "public", (Column("n", "integer"),))
    manifest = await packed(store, [table], {"n": [[str(n)] for n in range(10_000)]})
    found = await narrowed(manifest, Narrowing((), {"n": "n % 7 = 0"}), store, pools, "acme")
    assert [int(orjson.loads(line)[0]) for line in (await lines_of(store, found))["n"]] == [*range(0, 10_000, 7)]


PETS = [{"kind": "cat", "n": 1}, {"kind": "dog", "n": 5}]
DOCUMENTS: list[dict[str, Any]] = [
    {"_id": 1, "name": "Ann", "age": {"$numberInt": "30"}, "tags": ["a", "b"], "home": {"city": "Ankara"}, "due": -5},
    {
        "_id": 2,
        "name": "Bob",
        "age": {"$numberDouble": "40.5"},
        "due": {"$numberDecimal": "1.000000000000000000000000000000001"},
        "pets": [{"kind": "cat", "n": 1}, {"kind": "dog", "n": 5}],
    },
    {"_id": 3, "name": None, "age": {"$numberLong": "41"}, "tags": [], "seen": {"$date": "2025-01-01T00:00:00Z"}},
    {
        "_id": 4,
        "age": {"$numberDecimal": "30.0"},
        "ok": True,
        "matrix": [[1, 2], [3]],
        "due": {"$numberDecimal": "1.000000000000000000000000000000002"},
    },
]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"name": "Ann"}, [1]),
        ({"name": None}, [3, 4]),
        ({"age": 30}, [1, 4]),
        ({"age": {"$gt": 30, "$lt": 41}}, [2]),
        ({"age": {"$gte": "30"}}, []),
        ({"tags": "a"}, [1]),
        ({"tags": ["a", "b"]}, [1]),
        ({"tags": {"$size": 0}}, [3]),
        ({"tags": {"$exists": False}}, [2, 4]),
        ({"tags": {"$ne": "a"}}, [2, 3, 4]),
        ({"tags": {"$all": ["a", "b"]}}, [1]),
        ({"tags.1": "b"}, [1]),
        ({"home.city": {"$in": ["Ankara", "Bonn"]}}, [1]),
        ({"home": {"city": "Ankara"}}, [1]),
        ({"pets.kind": "dog"}, [2]),
        ({"pets": {"$elemMatch": {"kind": "cat", "n": 1}}}, [2]),
        ({"pets": {"$elemMatch": {"kind": "cat", "n": 5}}}, []),
        ({"pets.n": {"$not": {"$gt": 3}}}, [1, 3, 4]),
        ({"seen": {"$lte": {"$date": "2025-01-01T00:00:00Z"}}}, [3]),
        ({"$or": [{"name": "Bob"}, {"ok": True}]}, [2, 4]),
        ({"$nor": [{"name": "Bob"}, {"ok": True}]}, [1, 3]),
        ({"$and": [{"_id": {"$gt": 1}}, {"_id": {"$lt": 4}}]}, [2, 3]),
        ({"_id": {"$mod": [2, 0]}}, [2, 4]),
        ({"due": {"$mod": [3, 1]}}, [2, 4]),
        ({"due": {"$numberDecimal": "1.000000000000000000000000000000002"}}, [4]),
        ({"due": {"$gte": None}}, [3]),
        ({"due": {"$gt": None}}, []),
        ({"age": {"$type": "double"}}, [2]),
        ({"age": {"$type": ["int", "long"]}}, [1, 3]),
        ({"ok": {"$eq": 1}}, []),
        ({"matrix": [1, 2]}, [4]),
        ({}, [1, 2, 3, 4]),
    ],
    ids=str,
)
async def test_a_filter_means_what_it_means_in_mongodb(
    condition: dict[str, Any], expected: list[int], store: Blobs, pools: Pools
) -> None:
    table = Table("people", "", (), ("_id",))
    manifest = await packed(store, [table], {"people": DOCUMENTS}, MONGODB, collections={"people": Collection()})
    found = await narrowed(manifest, Narrowing((), {"people": condition}), store, pools, "acme")
    assert [orjson.loads(line)["_id"] for line in (await lines_of(store, found))["people"]] == expected


@pytest.mark.parametrize(
    "condition",
    [{"$where": "1"}, {"name": {"$regex": "(a+)+$"}}, {"a": {"$bitsAllSet": 1}}, {"$expr": {}}, "x", [1], "", []],
    ids=str,
)
async def test_a_hostile_filter_is_refused(condition: Any, store: Blobs, pools: Pools) -> None:
    table = Table("people", "", (), ("_id",))
    manifest = await packed(store, [table], {"people": DOCUMENTS}, MONGODB, collections={"people": Collection()})
    with pytest.raises(Invalid):
        await narrowed(manifest, Narrowing((), {"people": condition}), store, pools, "acme")
