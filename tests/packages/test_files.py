"""The files that a package is exported as."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace

from adapters.blobs.store import Blobs
from adapters.packages.document import page, shown
from adapters.packages.files import file_name, write_json, write_zip
from domain.dataset import Column, DatabaseKind, Table
from domain.manifest import Collection, DocumentReference
from tests.packages.made import CUSTOMERS, INFO, packed, whole


async def test_the_document_holds_what_its_description_says(store: Blobs) -> None:
    document = json.loads(await whole(write_json(await packed(store), INFO, store)))
    assert document["id"] == INFO.id
    assert document["created_at"] == "2025-11-18T10:00:00Z"
    assert document["dependencies"] == list(INFO.dependencies)
    data = document["database_data"]
    assert data["database_type"] == "postgresql"
    customers, orders = data["tables"]
    assert customers["rows"][0] == {
        "id": 1,
        "name": "Ann",
        "balance": "10.10",
        "active": True,
        "visits": "9007199254740993",
    }
    assert customers["row_count"] == 3
    assert customers["pk_columns"] == ["id"]
    assert (
        orders["fk_columns"][0].items()
        >= {
            "column_name": "customer_id",
            "referenced_table": "customers",
            "referenced_column": "id",
            "constraint_name": "orders_fk",
        }.items()
    )
    assert data["pk_mappings"]["customers"] == {
        "table_name": "customers",
        "pk_columns": ["id"],
        "is_auto_increment": True,
        "sequence_name": "public.customers_id_seq",
        "strategy": "sequence",
    }
    assert [one["target_table"] for one in data["relationships"]] == ["customers"]
    assert document["metadata"]["total_records"] == 5
    assert document["metadata"]["total_relationships"] == 1
    assert document["metadata"]["department"] == "sales"
    assert [one["row_count"] for one in document["metadata"]["packaged_entities"]] == [3, 2]


async def test_what_the_user_says_in_the_metadata_wins(store: Blobs) -> None:
    info = replace(INFO, metadata={"total_records": "many"})
    document = json.loads(await whole(write_json(await packed(store), info, store)))
    assert document["metadata"]["total_records"] == "many"


async def test_documents_are_written_as_they_are(store: Blobs) -> None:
    table = Table("people", "", (), ("_id",))
    rows = {"people": [{"_id": {"$oid": "5f1a6a9e0000400080000000"}, "n": {"$numberLong": "1"}}]}
    manifest = await packed(
        store,
        [table],
        rows,
        DatabaseKind.MONGODB,
        collections={"people": Collection(index_info=({"name": "n_1"},))},
        references=(DocumentReference("people", "boss", "people"),),
    )
    data = json.loads(await whole(write_json(manifest, INFO, store)))["document_data"]
    assert data["collections"][0]["documents"] == rows["people"]
    assert data["collections"][0]["index_info"] == [{"name": "n_1"}]
    assert data["id_mappings"]["people"]["strategy"] == "regenerate"
    assert data["references"][0]["target_collection"] == "people"


async def test_a_zip_holds_exactly_two_files(store: Blobs) -> None:
    manifest = await packed(store)
    with zipfile.ZipFile(io.BytesIO(await whole(write_zip(manifest, INFO, store)))) as found:
        assert found.testzip() is None
        assert found.namelist() == ["customer-data-v1.0.0.json", "metadata.json"]
        document, about = found.read(found.namelist()[0]), json.loads(found.read("metadata.json"))
    assert document == await whole(write_json(manifest, INFO, store))
    assert about["package_id"] == INFO.id
    assert about["checksum"] == hashlib.sha256(document).hexdigest()
    assert about["filesize"] == len(document)


async def test_the_same_package_is_the_same_file(store: Blobs) -> None:
    manifest = await packed(store)
    assert await whole(write_zip(manifest, INFO, store)) == await whole(write_zip(manifest, INFO, store))


def test_names_of_files_hold_nothing_that_leads_elsewhere() -> None:
    assert file_name(replace(INFO, name="../../etc/pass wd", version='1"\r\n'), "zip") == "_.._etc_pass_wd-v1___.zip"
    assert len(file_name(replace(INFO, name="x" * 500), "json")) < 110


async def test_many_rows_are_written_in_small_pieces(store: Blobs) -> None:
    rows = {"customers": [[str(n), "x" * 200, "0.10", "true", None] for n in range(20_000)]}
    manifest = await packed(store, [CUSTOMERS], rows)
    pieces = [piece async for piece in write_json(manifest, INFO, store)]
    assert len(pieces) > 3 and max(map(len, pieces)) < 4 << 20
    assert len(json.loads(b"".join(pieces))["database_data"]["tables"][0]["rows"]) == 20_000


async def test_an_answer_shows_few_rows_and_links_to_many(store: Blobs) -> None:
    many = Table("many", "public", (Column("n", "integer"),))
    manifest = await packed(
        store, [CUSTOMERS, many], {"customers": [["1", "a", None, None, None]], "many": [["7"]] * 1001}
    )
    found = await shown(manifest, INFO, store, lambda table: f"/data?table={table}")
    customers, others = found["database_data"]["tables"]
    assert customers["rows"] == [{"id": 1, "name": "a", "balance": None, "active": None, "visits": None}]
    assert others["row_count"] == 1001 and others["data_url"] == "/data?table=many" and "rows" not in others
    assert await page(manifest, "many", store, 1000, 10) == [{"n": 7}]
