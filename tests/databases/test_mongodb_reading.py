"""Packing from MongoDB: the documents that were chosen and what they refer to, exactly as they are."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo import MongoClient, monitoring

from adapters.databases.mongodb.extended import to_bson
from adapters.databases.mongodb.reading import MongoReading, MongoSource
from application.ports.databases import Documents, Mask, Selection
from domain.errors import Invalid, Unavailable
from domain.manifest import DocumentReference, IdStrategy
from tests.databases.servers import Mongo

ANN, BOB, CID = (ObjectId(f"65a00000000000000000000{n}") for n in range(1, 4))
TEA, POT = (ObjectId(f"65b00000000000000000000{n}") for n in range(1, 3))
FIRST, SECOND = (ObjectId(f"65c00000000000000000000{n}") for n in range(1, 3))
SHOP: dict[str, list[dict[str, Any]]] = {
    "customers": [
        {"_id": ANN, "name": "Ann", "boss": None, "mail": "ann@shop.test"},
        {"_id": BOB, "name": "Bob", "boss": ANN},
        {"_id": CID, "name": "Cid", "boss": BOB},
    ],
    "products": [{"_id": TEA, "name": "tea"}, {"_id": POT, "name": "pot"}],
    "orders": [
        {"_id": FIRST, "customer": CID, "lines": [{"product": TEA, "n": 2}, {"product": POT, "n": 1}], "seen": []},
        {"_id": SECOND, "customer": ANN, "lines": [], "seen": [BOB, CID]},
    ],
    "notes": [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}],
}


def fill(dsn: str, documents: dict[str, list[dict[str, Any]]]) -> None:
    """Puts documents there."""
    with MongoClient[Any](dsn) as client:
        for name, some in documents.items():
            client.get_default_database()[name].insert_many(some)


@pytest.fixture
def shop(mongo_shop: str) -> str:
    """A database with a few documents."""
    fill(mongo_shop, SHOP)
    return mongo_shop


async def read(dsn: str, *tables: str, **facts: Any) -> tuple[dict[str, list[dict[str, Any]]], MongoReading]:
    """What a selection holds."""
    async with MongoSource(dsn).read(Selection(tables=tables, **facts)) as reading:
        found = {}
        for table in reading.tables:
            lines = [line async for batch in reading.rows(table.name) for line in batch]
            found[table.name] = [to_bson(orjson.loads(line)) for line in lines]
        return found, reading


def ids(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[Any]]:
    """The ids of what was found."""
    return {name: [one["_id"] for one in some] for name, some in found.items()}


async def test_collections_are_known_by_name_with_their_ids(shop: str) -> None:
    catalog = await MongoSource(shop).catalog()
    assert list(catalog) == ["customers", "notes", "orders", "products"]
    assert catalog["orders"].primary_key == ("_id",)


@pytest.mark.parametrize("field", [{"$oid": "65a000000000000000000001"}, {"$date": "soon"}, {"x": [{"$uuid": 1}]}])
async def test_fields_that_would_be_taken_for_types_are_refused(mongo_shop: str, field: dict[str, Any]) -> None:
    fill(mongo_shop, {"odd": [{"_id": 1, "$price": 1, "a": {"$price": 2}}]})
    assert (await read(mongo_shop, "odd"))[0] == {"odd": [{"_id": 1, "$price": 1, "a": {"$price": 2}}]}
    fill(mongo_shop, {"odd": [{"_id": 2, "a": field}]})
    with pytest.raises(Invalid, match="'odd' has a field that is named as Extended JSON names types"):
        await read(mongo_shop, "odd")


async def test_documents_are_packed_as_they_are(shop: str) -> None:
    value = {
        "_id": Int64(2**60),
        "types": [1, Int64(1), 1.0, float("inf"), Decimal128("1.10"), True, None, "é\n\x01", MinKey(), MaxKey()],
        "times": [datetime(2025, 1, 1, tzinfo=UTC), Timestamp(5, 1)],
        "bytes": [b"\x00\xff", Binary(b"x" * 16, 4), Binary.from_uuid(UUID(int=7)), Binary(b"q", 128)],
        "odd": {"a.b": {"": 1}, "z": {}, "regex": Regex("^a", "im"), "deep": [[{"k": [ObjectId()]}]]},
    }
    fill(shop, {"things": [value]})
    found, reading = await read(shop, "things")
    with MongoClient[Any](shop) as client:
        client.get_default_database().copies.insert_one(found["things"][0])
        raw = [list(client.get_default_database().get_collection(n).find_raw_batches()) for n in ("things", "copies")]
    assert raw[0] == raw[1]
    assert reading.collections["things"].strategy is IdStrategy.PRESERVE


async def test_a_filter_chooses(shop: str) -> None:
    found, _ = await read(shop, "customers", where={"customers": {"boss": {"$in": [None, {"$oid": str(BOB)}]}}})
    assert ids(found) == {"customers": [ANN, CID]}
    with pytest.raises(Invalid, match="where_clause of 'customers'"):
        await read(shop, "customers", where={"customers": {"$where": "true"}})


@pytest.mark.parametrize("facts", [{"where": {"no": {}}}, {"exclude": {"no": frozenset("a")}}, {"tables": ("no",)}])
async def test_an_unknown_collection_is_named(shop: str, facts: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="no collection 'no'"):
        await read(shop, *facts.pop("tables", ("notes",)), **facts)


async def test_what_chosen_documents_refer_to_comes_along(shop: str) -> None:
    found, reading = await read(shop, "orders", where={"orders": {"_id": {"$oid": str(FIRST)}}}, include_parent=True)
    assert ids(found) == {"customers": [ANN, BOB, CID], "products": [TEA, POT], "orders": [FIRST]}
    assert {
        (r.source_collection, r.source_field, r.target_collection, r.reference_type) for r in reading.references
    } == {
        ("orders", "customer", "customers", "single"),
        ("orders", "lines.product", "products", "array"),
        ("customers", "boss", "customers", "single"),
    }


async def test_it_is_known_why_each_document_is_in(shop: str) -> None:
    async with MongoSource(shop).read(Selection(tables=("orders",), include_parent=True)) as reading:
        found = await reading.count("customers")
    assert found.reasons == {"referred to by orders": 3}


async def test_what_refers_to_chosen_documents_comes_along_as_far_as_asked(shop: str) -> None:
    where = {"where": {"customers": {"name": "Ann"}}, "include_related": True}
    near, _ = await read(shop, "customers", **where)
    assert ids(near) == {"customers": [ANN, BOB], "orders": [SECOND]}
    far, _ = await read(shop, "customers", **where, max_depth=3)
    assert ids(far) == {"customers": [ANN, BOB, CID], "orders": [FIRST, SECOND]}


async def test_declared_references_are_the_only_ones(shop: str) -> None:
    told = (DocumentReference("orders", "lines.product", "products", reference_type="array"),)
    found, reading = await read(shop, "orders", include_parent=True, references=told)
    assert (list(found), reading.references) == (["products", "orders"], list(told))


async def test_fields_are_left_out_and_masked_at_any_depth(shop: str) -> None:
    masks = {"customers": {"name": Mask("hash", "k"), "mail": Mask("fake", "k")}, "orders": {"lines.n": Mask("null")}}
    left_out = {"orders": frozenset({"lines.product", "seen"})}
    found, reading = await read(shop, "customers", "orders", masks=masks, exclude=left_out)
    assert found["orders"][0] == {"_id": FIRST, "customer": CID, "lines": [{"n": None}, {"n": None}]}
    ann = found["customers"][0]
    assert (len(ann["name"]), ann["mail"].endswith("@example.com")) == (32, True)
    again, _ = await read(shop, "customers", masks={"customers": {"name": Mask("hash", "k")}})
    assert again["customers"][0]["name"] == ann["name"]
    assert {r.source_field for r in reading.references} == {"customer", "boss"}
    with pytest.raises(Invalid, match="'_id' of 'orders'"):
        await read(shop, "orders", exclude={"orders": frozenset({"_id"})})


async def test_collections_say_their_indexes_and_types_of_ids(shop: str) -> None:
    with MongoClient[Any](shop) as client:
        client.get_default_database().customers.create_index([("name", 1), ("boss", -1)], unique=True, name="u")
    _, reading = await read(shop, "customers", "notes")
    assert isinstance(reading, Documents)
    customers, notes = reading.collections["customers"], reading.collections["notes"]
    assert customers.index_info == ({"key": {"name": 1, "boss": -1}, "name": "u", "unique": True},)
    assert (customers.id_type, customers.strategy) == ("objectid", IdStrategy.REGENERATE)
    assert (notes.id_type, notes.strategy) == ("string", IdStrategy.PRESERVE)


async def test_a_preview_counts(shop: str) -> None:
    async with MongoSource(shop).read(Selection(tables=("orders",))) as reading:
        found = await reading.count("orders")
        lines = [line async for batch in reading.rows("orders") for line in batch]
    assert (found.rows, found.bytes, len(found.sample)) == (2, sum(len(line) + 1 for line in lines), 2)
    assert found.reasons == {"selected": 2}


class Commands(monitoring.CommandListener):
    """Listens to what goes over the wire."""

    def __init__(self) -> None:
        self.concerns: list[Any] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Keeps what reads ask for."""
        if event.command_name == "find":
            self.concerns.append(event.command.get("readConcern"))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to keep."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to keep."""


async def test_all_reads_are_of_one_moment(shop: str) -> None:
    listener = Commands()
    monitoring.register(listener)
    try:
        await read(shop, "orders", "customers", include_parent=True)
    finally:
        monitoring._LISTENERS.command_listeners.remove(listener)
    assert {concern["level"] for concern in listener.concerns} == {"snapshot"}
    assert len({concern.get("atClusterTime") for concern in listener.concerns[1:]}) == 1


async def test_a_server_that_stands_alone_is_read_as_well(mongo_alone: Mongo) -> None:
    with mongo_alone.fresh() as dsn:
        fill(dsn, SHOP)
        found, _ = await read(dsn, "notes")
        assert ids(found) == {"notes": ["a", "b"]}


async def test_errors_tell_nothing_of_the_address() -> None:
    with pytest.raises(Unavailable) as problem:
        await MongoSource("mongodb://ann:secret@127.0.0.1:1/shop", connect_seconds=1).catalog()
    assert not {"ann", "secret", "127"} & set(problem.value.message.replace(":", " ").replace("@", " ").split())
