"""Random documents that refer to each other are the same graph wherever they are packed to."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from adapters.databases.mongodb.extended import Json, is_wrapped, key_of, to_json
from adapters.databases.mongodb.target import MongoTarget
from tests.databases.servers import Mongo
from tests.databases.test_mongodb_deploying import deploy, everything, pack, roll_back
from tests.databases.test_mongodb_reading import fill

NAMES = ("a", "b.c", "Ünï côde", "order by")
FIELDS = st.sampled_from(["x", "y", "Name", "ü", "select", "0", "long field"])
EXAMPLES = int(os.environ.get("MONGO_EXAMPLES", "6"))
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.floats(allow_nan=False),
    st.text(max_size=5).filter(lambda text: "\0" not in text),
    st.binary(max_size=4),
    st.binary(min_size=16, max_size=16).map(lambda data: Binary(data, 4)),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-99, max_value=99).map(Decimal128),
    st.just(Regex("^a", "i")),
    st.just(Timestamp(7, 1)),
)
UNIQUE = st.uuids(version=4).map(lambda one: ObjectId(one.bytes[:12]))
IDS = st.one_of(UNIQUE, UNIQUE, UNIQUE.map(str), st.uuids(version=4).map(Binary.from_uuid))


@st.composite
def databases(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Collections of documents that refer to each other at any depth, in circles too."""
    ids = {name: draw(st.lists(IDS, max_size=5, unique_by=repr)) for name in NAMES}
    every: list[Any] = [one for some in ids.values() for one in some]
    links = st.sampled_from(every or [None])
    inner = st.recursive(
        VALUES | links, lambda one: st.lists(one, max_size=3) | st.dictionaries(FIELDS, one, max_size=3), max_leaves=6
    )
    document = st.dictionaries(FIELDS, inner, max_size=4)
    return {name: [{"_id": one, **draw(document)} for one in some] for name, some in ids.items() if some}


def shape(value: Any, numbers: dict[str, str]) -> Any:
    """A value with ids by what they are ids of."""
    if isinstance(value, list):
        return [shape(one, numbers) for one in value]
    if isinstance(value, dict) and not is_wrapped(value):
        return {name: shape(one, numbers) for name, one in value.items()}
    return numbers.get(key_of(value), value)


def graph(documents: dict[str, list[Json]], order: dict[str, list[str]]) -> dict[str, list[Any]]:
    """Documents with each id as the place of its document."""
    numbers = {key: f"{name} {place}" for name, keys in order.items() for place, key in enumerate(keys)}
    placed = {
        name: {key_of(one["_id"]): shape(one, numbers) for one in map(to_json, some)}
        for name, some in documents.items()
    }
    return {name: [placed[name][key] for key in keys] for name, keys in order.items()}


@pytest.fixture(scope="module")
def stores(mongo: Mongo, mongo_alone: Mongo) -> Iterator[tuple[str, list[MongoTarget]]]:
    """A source, and targets that write in each way."""
    with mongo.fresh() as source, mongo.fresh() as one, mongo.fresh() as two, mongo_alone.fresh() as three:
        yield source, [MongoTarget(one), MongoTarget(two, most_in_transaction=0), MongoTarget(three)]


def empty(dsn: str) -> None:
    """Takes everything out of a database."""
    with MongoClient[Any](dsn) as client:
        database = client.get_default_database()
        for name in database.list_collection_names():
            database[name].delete_many({})


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(databases(), st.integers(0, 2), st.integers(1, 4))
async def test_random_documents_are_the_same_graph_elsewhere(
    stores: tuple[str, list[MongoTarget]], shop: dict[str, list[dict[str, Any]]], way: int, size: int
) -> None:
    source, target = stores[0], stores[1][way]
    empty(source)
    empty(target.dsn)
    fill(source, shop)
    if not shop:
        return
    package = await pack(source, *shop)
    await deploy(target, package, batch_size=size)
    order = {name: [key_of(to_json(one)["_id"]) for one in some] for name, some in shop.items()}
    with MongoClient[Any](target.dsn) as client:
        lineage = list(client.get_default_database().rollbook_lineage.find({}))
    went = {(one["collection"], one["source"]): key_of(to_json({"_id": one["target"]})["_id"]) for one in lineage}
    there = {name: [went[name, key] for key in keys] for name, keys in order.items()}
    assert graph(everything(target.dsn), there) == graph(shop, order)
    again = await deploy(target, package, "2", update_existing=True)
    assert {(one.new, one.changed) for one in again.tables.values()} == {(0, 0)}
    await roll_back(target)
    assert everything(target.dsn) == {}
