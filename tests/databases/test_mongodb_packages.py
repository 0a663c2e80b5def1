"""Documents on the whole way: packed, kept, exported, brought in elsewhere, deployed; and packages that mean harm."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from adapters.blobs.choosing import blobs_of
from adapters.databases.mongodb.reading import MongoSource
from adapters.databases.mongodb.target import MongoTarget
from adapters.package_settings import PackageSettings
from adapters.packages.files import write_json
from adapters.packages.importing import Importer
from adapters.packages.keeping import BlobPackages
from application.ports.databases import DeployOptions, Order, Selection
from domain.dataset import DatabaseKind
from domain.errors import Invalid, RollbookError
from domain.manifest import Choice, Collection
from tests.databases.test_mongodb_deploying import ALL, PackedDocuments, deploy, everything, graph, pack
from tests.databases.test_mongodb_reading import SHOP, fill
from tests.packages.conftest import LIMITS, pieces
from tests.packages.made import INFO, whole


@pytest.fixture
async def package(mongo_shop: str) -> PackedDocuments:
    """Everything that a shop has."""
    fill(mongo_shop, SHOP)
    return await pack(mongo_shop, *ALL)


async def test_documents_come_all_the_way(
    mongo_shop: str, mongo_other: str, package: PackedDocuments, tmp_path: Path
) -> None:
    store = blobs_of(PackageSettings(), tmp_path)
    packages, about = BlobPackages(store), replace(INFO, package_type="document")
    async with MongoSource(mongo_shop).read(Selection(tables=ALL)) as reading:
        kept = await packages.keep(DatabaseKind.MONGODB, reading, about, Choice(ALL), {}, lambda table, rows: None)
    manifest = await packages.manifest(kept.manifest)
    assert {one.source_field for one in manifest.references} == {"boss", "customer", "lines.product", "seen"}
    importer = Importer(store, tmp_path / "uploads", LIMITS)
    brought = await importer.import_stream(pieces(await whole(write_json(manifest, about, store))))
    assert (brought.manifest.references, brought.manifest.collections) == (manifest.references, manifest.collections)
    order = Order("1", "shop", DeployOptions())
    await MongoTarget(mongo_other).deploy(packages.contents(brought.manifest), order, lambda table, rows: None)
    assert graph(mongo_other) == graph(mongo_shop)


async def test_documents_that_people_wrote_are_understood(mongo_other: str, package: PackedDocuments) -> None:
    package.lines["notes"] = [[b'{"_id": 7, "at": {"$date": "2025-01-01T00:00:00Z"}, "n": 1.5, "of": [1, {"x": -2}]}']]
    package.collections["notes"] = replace(package.collections["notes"], id_type="number")
    await deploy(MongoTarget(mongo_other), package)
    (note,) = everything(mongo_other)["notes"]
    assert (note["_id"], note["at"].year, note["n"], note["of"]) == (7, 2025, 1.5, [1, {"x": -2}])


@pytest.mark.parametrize(
    "index",
    [
        {"key": {"$where": 1}, "name": "a"},
        {"key": {}, "name": "a"},
        {"key": {"a": "evil"}, "name": "a"},
        {"key": {"a": 1}},
        {"key": {"a": 1}, "name": "a" * 200},
        {"key": {"a": 1}, "name": "*"},
        {"key": {"a": 1}, "name": "a", "unique": "yes"},
        {"key": {"a": 1}, "name": "a", "partialFilterExpression": {"$where": "1"}},
    ],
)
async def test_indexes_that_mean_harm_are_refused(
    mongo_other: str, package: PackedDocuments, index: dict[str, Any]
) -> None:
    package.collections["notes"] = Collection("_id", "string", index_info=(index,))
    with pytest.raises(Invalid):
        await deploy(MongoTarget(mongo_other), package, rebuild_indexes=True)
    assert everything(mongo_other) == {}


@pytest.mark.parametrize("field", ["", "a..b", "$where", "_id", "_id.x", "a\0b"])
async def test_references_that_mean_harm_are_refused(mongo_other: str, package: PackedDocuments, field: str) -> None:
    package.references = [replace(package.references[0], source_field=field)]
    with pytest.raises(Invalid, match="cannot be the name of a field"):
        await deploy(MongoTarget(mongo_other), package)


async def test_ids_in_another_field_and_ids_twice_are_refused(mongo_other: str, package: PackedDocuments) -> None:
    target, notes = MongoTarget(mongo_other), package.lines["notes"]
    package.lines["notes"] = notes * 2
    with pytest.raises(Invalid, match="the document a of notes twice"):
        await deploy(target, package)
    package.lines["notes"], package.collections["notes"] = notes, Collection("number")
    with pytest.raises(Invalid, match="must be in the field _id"):
        await deploy(target, package)


WRAPPED = st.sampled_from(["$oid", "$date", "$numberLong", "$binary", "$code", "$regularExpression", "$ref", "$where"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda one: st.lists(one, max_size=2) | st.dictionaries(st.text(max_size=3) | WRAPPED, one, max_size=2),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(JSON, JSON)
async def test_any_json_is_deployed_or_refused(mongo_other: str, key: Any, value: Any) -> None:
    lines = [orjson.dumps({"_id": "a"}), orjson.dumps({"_id": key, "x": value}, default=str)]
    table = (await pack_nothing(mongo_other)).tables
    package = PackedDocuments(table, {"things": [lines]})
    with MongoClient[Any](mongo_other) as client:
        client.get_default_database().things.delete_many({})
    try:
        await deploy(MongoTarget(mongo_other), package, str(orjson.dumps([key, value])), validate_references=False)
    except RollbookError:
        with MongoClient[Any](mongo_other) as client:
            assert client.get_default_database().things.count_documents({}) == 0


async def pack_nothing(dsn: str) -> PackedDocuments:
    """A package with one collection."""
    fill(dsn, {"things": [{"_id": "only"}]})
    return await pack(dsn, "things")
