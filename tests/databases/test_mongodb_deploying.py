"""Deploying into MongoDB: ids made anew, references kept, nothing twice, nothing lost, everything undone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from bson import ObjectId
from pymongo import MongoClient

from adapters.databases.mongodb.reading import MongoSource
from adapters.databases.mongodb.target import MongoTarget
from application.ports.databases import DeployOptions, Order, Outcome, Selection
from domain.errors import Clash, Invalid, NotFound
from domain.manifest import Collection, DocumentReference, IdStrategy
from tests.databases.packages import Packed, kept
from tests.databases.servers import Mongo
from tests.databases.test_mongodb_reading import ANN, BOB, CID, SHOP, TEA, fill

ALL = tuple(SHOP)


@dataclass
class PackedDocuments(Packed):
    """See the port: Documents."""

    collections: dict[str, Collection] = field(default_factory=dict)
    references: Sequence[DocumentReference] = ()

    def change(self, table: str, change: Any) -> None:
        """Changes each document."""
        self.lines[table] = [[orjson.dumps(change(orjson.loads(line))) for line in b] for b in self.lines[table]]


async def pack(dsn: str, *tables: str, **facts: Any) -> PackedDocuments:
    """Packs whole collections."""
    matching = facts.pop("match_keys", {})
    async with MongoSource(dsn).read(Selection(tables=tables, **facts)) as reading:
        lines = {t.name: [lines async for lines in reading.rows(t.name)] for t in reading.tables}
        return PackedDocuments(reading.tables, lines, matching, reading.collections, reading.references)


def documents(dsn: str, collection: str, **condition: Any) -> list[dict[str, Any]]:
    """The documents of a collection."""
    with MongoClient[Any](dsn) as client:
        return list(client.get_default_database()[collection].find(condition).sort([("name", 1), ("_id", 1)]))


def everything(dsn: str) -> dict[str, list[dict[str, Any]]]:
    """All documents but those that are Rollbook's own."""
    with MongoClient[Any](dsn) as client:
        names = sorted(n for n in client.get_default_database().list_collection_names() if not n.startswith("rollbook"))
    return {name: found for name in names if (found := documents(dsn, name))}


def run(dsn: str, name: str, change: str, *arguments: Any) -> Any:
    """Does something to a collection."""
    with MongoClient[Any](dsn) as client:
        return getattr(client.get_default_database()[name], change)(*arguments)


async def deploy(target: MongoTarget, package: PackedDocuments, name: str = "1", **options: Any) -> Outcome:
    """Deploys with some options."""
    order = Order(name, "shop", DeployOptions(**options))
    return await target.deploy(package, order, lambda table, count: None)


async def roll_back(target: MongoTarget, name: str = "1", force: bool = False) -> Outcome:
    """Takes a deployment back."""
    return await target.roll_back(name, force, lambda table, count: None)


def graph(dsn: str) -> Any:
    """Who orders what and who is whose boss, by names instead of ids."""
    found = everything(dsn)
    names = {one["_id"]: one["name"] for name in ("customers", "products") for one in found.get(name, [])}
    orders = [
        (names.get(o["customer"]), [names.get(one["product"]) for one in o["lines"]], [names.get(s) for s in o["seen"]])
        for o in found.get("orders", [])
    ]
    return sorted(orders, key=str), [(one["name"], names.get(one["boss"])) for one in found.get("customers", [])]


WAYS = ("in a transaction", "under a marker", "alone")


@pytest.fixture(params=WAYS)
def target(request: pytest.FixtureRequest, mongo_other: str, mongo_alone: Mongo) -> Any:
    """A target that writes in one of the ways that there are."""
    if request.param == "alone":
        with mongo_alone.fresh() as dsn:
            yield MongoTarget(dsn)
    else:
        yield MongoTarget(mongo_other, most_in_transaction=5000 if request.param == WAYS[0] else 0)


@pytest.fixture
async def package(mongo_shop: str) -> PackedDocuments:
    """Everything that a shop has."""
    fill(mongo_shop, SHOP)
    return await pack(mongo_shop, *ALL)


async def test_documents_get_new_ids_and_still_refer_to_each_other(
    mongo_shop: str, target: MongoTarget, package: PackedDocuments
) -> None:
    outcome = await deploy(target, package)
    assert {name: one.new for name, one in outcome.tables.items()} == {n: len(some) for n, some in SHOP.items()}
    assert graph(target.dsn) == graph(mongo_shop)
    ids = {one["_id"] for one in documents(target.dsn, "customers")}
    assert not ids & {ANN, BOB, CID}
    assert set(outcome.keys) == {"customers", "products", "orders"}
    assert ObjectId(outcome.keys["customers"][str(ANN)]) in ids
    assert documents(target.dsn, "notes") == SHOP["notes"]


async def test_deploying_again_changes_nothing(target: MongoTarget, package: PackedDocuments) -> None:
    await deploy(target, package)
    before = everything(target.dsn)
    for number, options in enumerate([{}, {"update_existing": True}], 2):
        again = await deploy(target, package, str(number), **options)
        assert {(one.new, one.changed) for one in again.tables.values()} == {(0, 0)}
    assert everything(target.dsn) == before


async def test_the_same_deployment_is_only_made_once(target: MongoTarget, package: PackedDocuments) -> None:
    first, second = await deploy(target, package), await deploy(target, package)
    assert (first.repeated, second.repeated) == (False, True)
    assert (second.tables, second.keys) == (first.tables, first.keys)


async def test_a_dry_run_tells_the_same_and_leaves_nothing(target: MongoTarget, package: PackedDocuments) -> None:
    dry = await deploy(target, package, dry_run=True)
    assert everything(target.dsn) == {}
    assert dry.keys == {"customers": {}, "products": {}, "orders": {}}
    real = await deploy(target, package)
    assert real.tables == dry.tables
    assert (await deploy(target, package, "2", dry_run=True)).keys == real.keys


async def test_fields_that_change_are_updated_and_others_stay(target: MongoTarget, package: PackedDocuments) -> None:
    await deploy(target, package)
    run(target.dsn, "customers", "update_many", {}, {"$set": {"seen": 7}})
    package.change("customers", lambda one: {**one, "name": one["name"] + "!"} if one["name"] == "Ann" else one)
    outcome = await deploy(target, package, "2", update_existing=True)
    assert (outcome.tables["customers"].changed, outcome.tables["customers"].same) == (1, 2)
    assert [(one["name"], one["seen"]) for one in documents(target.dsn, "customers")] == [
        ("Ann!", 7),
        ("Bob", 7),
        ("Cid", 7),
    ]


async def test_documents_that_a_match_key_or_a_unique_index_finds_keep_their_ids(
    mongo_shop: str, target: MongoTarget
) -> None:
    fill(mongo_shop, SHOP)
    package = await pack(mongo_shop, *ALL, match_keys={"customers": ("name",)})
    mine, pot = ObjectId(), ObjectId()
    fill(target.dsn, {"customers": [{"_id": mine, "name": "Cid"}], "products": [{"_id": pot, "name": "pot", "n": 1}]})
    with MongoClient[Any](target.dsn) as client:
        client.get_default_database().products.create_index("name", unique=True)
    outcome = await deploy(target, package)
    assert (outcome.tables["customers"].new, outcome.tables["customers"].same) == (2, 1)
    assert (outcome.tables["products"].new, outcome.tables["products"].same) == (1, 1)
    (order,) = documents(target.dsn, "orders", customer=mine)
    assert pot in {one["product"] for one in order["lines"]}


async def test_documents_that_exist_are_refused_unless_skipped_or_updated(
    target: MongoTarget, package: PackedDocuments
) -> None:
    fill(target.dsn, {"notes": [{"_id": "a", "n": 9}]})
    with pytest.raises(Clash, match="1 documents of notes exist"):
        await deploy(target, package, skip_existing=False)
    assert everything(target.dsn) == {"notes": [{"_id": "a", "n": 9}]}
    updated = await deploy(target, package, skip_existing=False, update_existing=True)
    assert (updated.tables["notes"].changed, documents(target.dsn, "notes", _id="a")[0]["n"]) == (1, 1)


async def test_a_rollback_restores_what_was_there(target: MongoTarget, package: PackedDocuments) -> None:
    before: dict[str, list[dict[str, Any]]] = {"notes": [{"_id": "a", "n": 9, "mine": {"x": 1}}, {"_id": "z"}]}
    fill(target.dsn, before)
    await deploy(target, package, update_existing=True)
    undone = await roll_back(target)
    assert (undone.tables["customers"].new, undone.tables["notes"].changed) == (3, 1)
    assert everything(target.dsn) == before
    with pytest.raises(Clash, match="rolled back before"):
        await roll_back(target)
    with pytest.raises(NotFound):
        await roll_back(target, "9")


async def test_a_rollback_that_would_lose_later_writes_is_refused_unless_forced(
    target: MongoTarget, package: PackedDocuments
) -> None:
    await deploy(target, package)
    run(target.dsn, "customers", "update_one", {"name": "Ann"}, {"$set": {"name": "Anna"}})
    with pytest.raises(Clash, match="1 documents of customers were changed"):
        await roll_back(target)
    assert len(documents(target.dsn, "customers")) == 3
    await roll_back(target, force=True)
    assert everything(target.dsn) == {}


async def test_a_rollback_is_refused_while_others_refer_to_what_would_go(
    target: MongoTarget, package: PackedDocuments
) -> None:
    await deploy(target, package)
    (tea,) = documents(target.dsn, "products", name="tea")
    fill(target.dsn, {"orders": [{"customer": None, "lines": [{"product": tea["_id"]}]}]})
    with pytest.raises(Clash, match="1 documents of orders refer to documents of products"):
        await roll_back(target)


async def test_documents_that_others_changed_are_not_overwritten(target: MongoTarget, package: PackedDocuments) -> None:
    await deploy(target, package)
    run(target.dsn, "products", "update_one", {"name": "tea"}, {"$set": {"name": "Tea"}})
    differences = await target.differences(package, Order("2", "shop", DeployOptions(update_existing=True)))
    assert (differences["products"].conflict, differences["products"].same) == (1, 1)
    assert differences["products"].samples["conflict"][0]["target"] == {"name": "Tea"}
    with pytest.raises(Clash, match="changed in the target"):
        await deploy(target, package, "2", update_existing=True)
    forced = await deploy(target, package, "2", update_existing=True, force=True)
    assert forced.tables["products"].changed == 1


async def test_references_to_what_is_missing_are_refused_before_anything_is_written(
    mongo_shop: str, target: MongoTarget
) -> None:
    fill(mongo_shop, SHOP)
    package = await pack(mongo_shop, *ALL)
    package.lines["products"] = [[line for line in package.lines["products"][0] if str(TEA).encode() not in line]]
    with pytest.raises(Invalid, match=rf"orders refer to what is missing: lines.product {TEA} of products"):
        await deploy(target, package)
    assert everything(target.dsn) == {}
    kept = await deploy(target, package, continue_on_error=True)
    assert (kept.tables["orders"].new, kept.tables["orders"].failed) == (1, 1)
    assert str(TEA) in kept.tables["orders"].failures[0]["reason"]


async def test_what_the_server_refuses_leaves_nothing_or_is_left_out_with_all_that_needs_it(
    target: MongoTarget, package: PackedDocuments
) -> None:
    with MongoClient[Any](target.dsn) as client:
        client.get_default_database().create_collection("customers", validator={"name": {"$ne": "Bob"}})
    with pytest.raises(Clash, match="not as the collection wants it"):
        await deploy(target, package)
    assert everything(target.dsn) == {}
    kept = await deploy(target, package, continue_on_error=True)
    customers = kept.tables["customers"]
    assert (customers.new, customers.failed) == (1, 2)
    assert {one["key"] for one in customers.failures} == {str(BOB), str(CID)}
    assert (kept.tables["orders"].new, kept.tables["orders"].failed) == (0, 2)
    assert [one["name"] for one in documents(target.dsn, "customers")] == ["Ann"]
    assert documents(target.dsn, "orders") == []
    await roll_back(target)
    assert everything(target.dsn) == {}


async def test_documents_that_are_only_referred_to_are_made_on_request(
    target: MongoTarget, package: PackedDocuments
) -> None:
    package.collections["products"] = replace(package.collections["products"], strategy=IdStrategy.SKIP)
    with pytest.raises(Invalid, match="of products"):
        await deploy(target, package)
    outcome = await deploy(target, package, create_missing=True)
    assert (outcome.tables["products"].new, outcome.tables["orders"].new) == (2, 2)
    assert {one["_id"] for one in documents(target.dsn, "products")} == {one["_id"] for one in SHOP["products"]}


async def test_ids_are_preserved_on_request(mongo_shop: str, target: MongoTarget) -> None:
    fill(mongo_shop, SHOP)
    strategies = dict.fromkeys(("customers", "orders", "products"), IdStrategy.PRESERVE)
    await deploy(target, await pack(mongo_shop, *ALL, id_strategies=strategies))
    assert everything(target.dsn) == everything(mongo_shop)


async def test_indexes_are_made_on_request_and_go_with_a_rollback(mongo_shop: str, target: MongoTarget) -> None:
    fill(mongo_shop, SHOP)
    with MongoClient[Any](mongo_shop) as client:
        client.get_default_database().customers.create_index([("name", 1), ("mail", -1)], unique=True, name="u")
    package = await pack(mongo_shop, *ALL)
    await deploy(target, package, rebuild_indexes=True)
    made = run(target.dsn, "customers", "index_information")
    assert (made["u"]["key"], made["u"]["unique"]) == ([("name", 1), ("mail", -1)], True)
    await roll_back(target)
    assert set(run(target.dsn, "customers", "index_information")) <= {"_id_"}


async def test_the_whole_mapping_can_be_read(target: MongoTarget, package: PackedDocuments, tmp_path: Path) -> None:
    outcome = await deploy(target, package)
    found = [pair async for batch in target.keys("1", "orders") for pair in batch]
    assert dict(found) == outcome.keys["orders"]
    assert await kept(target, "orders", tmp_path) == found


async def test_progress_counts_each_document_once(target: MongoTarget, package: PackedDocuments) -> None:
    told: dict[str, int] = {}

    def report(table: str, rows: int) -> None:
        told[table] = told.get(table, 0) + rows

    await target.deploy(package, Order("1", "shop", DeployOptions(batch_size=1)), report)
    assert told == {name: len(some) for name, some in SHOP.items()}


@pytest.mark.parametrize("name", ["system.users", "rollbook_lineage", "a$b", "", "a\0b", ".a"])
async def test_names_that_are_no_collections_are_refused(mongo_other: str, package: PackedDocuments, name: str) -> None:
    package.tables = [replace(package.tables[0], name=name)]
    with pytest.raises(Invalid, match="cannot be the name"):
        await deploy(MongoTarget(mongo_other), package)


async def test_a_view_is_not_deployed_into(target: MongoTarget, package: PackedDocuments) -> None:
    with MongoClient[Any](target.dsn) as client:
        client.get_default_database().create_collection("customers", viewOn="people", pipeline=[])
    with pytest.raises(Invalid, match="'customers' is a view; only collections are deployed to"):
        await deploy(target, package)
