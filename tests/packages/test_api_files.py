"""Packages leave Rollbook as files and come back, over HTTP."""

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest

from tests.packages.market import Market

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def generated(market: Market, package: str, **body: Any) -> bytes:
    """A file of a package."""
    content: bytes = (await market.send("POST", f"/packages/{package}/generate", json=body)).content
    return content


async def actions(market: Market, package: str) -> list[dict[str, Any]]:
    """What was done with a package, newest first."""
    found: list[dict[str, Any]] = (await market.ask("GET", f"/packages/{package}/actions"))["actions"]
    return found


async def test_the_json_file_is_what_the_records_checksum_and_size_are_of(market: Market) -> None:
    record = (await market.create(metadata={"department": "sales"}))["package"]
    answered = await market.send("POST", f"/packages/{record['id']}/generate", json={"format": "json"})
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["content-disposition"] == "attachment; filename=customer-data-v1.0.0.json"
    assert len(answered.content) == record["filesize"]
    assert hashlib.sha256(answered.content).hexdigest() == record["checksum"]
    document = answered.json()
    assert (document["id"], document["created_by"]) == (record["id"], record["createdby"])
    assert document["metadata"]["department"] == "sales"
    tables = document["database_data"]["tables"]
    assert {table["table_name"]: len(table["rows"]) for table in tables} == {"customers": 3, "orders": 3}


async def test_the_zip_holds_exactly_two_files(market: Market) -> None:
    package = await market.made()
    answered = await market.send("POST", f"/packages/{package}/generate", json={"format": "zip"})
    assert answered.headers["content-type"] == "application/zip"
    assert answered.headers["content-disposition"] == "attachment; filename=customer-data-v1.0.0.zip"
    with zipfile.ZipFile(io.BytesIO(answered.content)) as archive:
        assert archive.namelist() == ["customer-data-v1.0.0.json", "metadata.json"]
        about = json.loads(archive.read("metadata.json"))
    assert (about["package_id"], about["name"], about["version"]) == (package, "customer-data", "1.0.0")


async def test_each_file_is_an_action_in_the_history(market: Market) -> None:
    package = await market.made()
    content = await generated(market, package, format="bundle")
    exported, packed = await actions(market, package)
    assert (packed["actiontype"], exported["actiontype"], exported["actionstatus"]) == ("pack", "export", "completed")
    assert (exported["recordsprocessed"], exported["tablesprocessed"]) == (6, 2)
    assert content.startswith(b"PK")


async def test_a_file_that_cannot_be_made_is_a_failed_action_with_its_reason(market: Market) -> None:
    package = await market.made()
    held = await market.app.executor.look(market.organisation, *whole(package))
    assert held is not None
    digest = held.contents().manifest
    await market.app.packages.store.delete(digest)
    await market.send("POST", f"/packages/{package}/generate", 404, json={"format": "zip"})
    failed = (await actions(market, package))[0]
    assert (failed["actiontype"], failed["actionstatus"]) == ("export", "failed")
    assert failed["errorlog"] != []


def whole(package: str) -> tuple[Any, Any]:
    """A package as the executor knows it."""
    from uuid import UUID

    from domain.package import Package

    return Package, UUID(package.removeprefix("pkg-"))


@pytest.mark.parametrize("body", [{"format": "rar"}, {"format": 1}, {"tables": "customers"}])
async def test_a_file_of_another_kind_is_a_400(idle: Market, body: dict[str, Any]) -> None:
    nothing = "pkg-0b43851b-b109-4028-ba79-2e49c6138dbc"
    assert (await idle.ask("POST", f"/packages/{nothing}/generate", 400, json=body)).keys() == {"error"}
    await idle.ask("POST", f"/packages/{nothing}/generate", 404, json={"format": "zip"})


async def test_a_json_file_comes_back_as_another_package_with_the_same_rows(market: Market) -> None:
    package = await market.made(description="first", metadata={"department": "sales"})
    document = json.loads(await generated(market, package, format="json"))
    body = {"package_data": {**document, "name": "copy"}, "environment": "staging"}
    told = await market.ask("POST", "/packages/import", 201, json=body)
    record = told["package"]
    assert told["message"] == "Package imported successfully"
    assert record["id"] not in (package, document["id"])
    assert (record["name"], record["version"], record["environment"]) == ("copy", "1.0.0", "staging")
    assert (record["imported"], record["originalid"], record["signedby"]) == (True, package, None)
    there = (await market.ask("GET", f"/packages/{record['id']}"))["package"]
    assert there["database_data"] == document["database_data"]
    assert there["metadata"]["department"] == "sales"
    assert there["description"] == "first"
    (action,) = await actions(market, record["id"])
    assert (action["actiontype"], action["actionstatus"], action["recordsprocessed"]) == ("import", "completed", 6)
    assert action["targetenvironment"] == "staging"


@pytest.mark.parametrize("kind", ["zip", "bundle"])
async def test_a_file_comes_back_as_it_is(market: Market, kind: str) -> None:
    package = await market.made()
    content = await generated(market, package, format=kind)
    raw = {"content": content, "headers": {"content-type": "application/zip"}, "params": {"environment": "staging"}}
    assert "exists already" in (await market.ask("POST", "/packages/import", 409, **raw))["error"]
    await market.ask("DELETE", f"/packages/{package}")
    record = (await market.ask("POST", "/packages/import", 201, **raw))["package"]
    assert (record["originalid"], record["recordcounts"]) == (package, {"customers": 3, "orders": 3})
    assert (record["signedby"] is not None) == (kind == "bundle")


async def test_a_repeat_of_an_import_makes_no_second_package(market: Market) -> None:
    package = await market.made()
    content = await generated(market, package, format="zip")
    await market.ask("DELETE", f"/packages/{package}")
    raw = {"content": content, "headers": {"content-type": "application/zip", "idempotency-key": "once"}}
    first, again = [(await market.ask("POST", "/packages/import", 201, **raw))["package"]["id"] for _ in range(2)]
    assert first == again


async def test_data_that_were_changed_are_a_400_and_leave_nothing(market: Market) -> None:
    package = await market.made()
    document = json.loads(await generated(market, package, format="json"))
    document["name"] = "changed"
    document["database_data"]["tables"][0]["rows"][0]["name"] = "Eve"
    answered = await market.ask("POST", "/packages/import", 400, json={"package_data": document})
    assert "checksum" in answered["error"]
    assert (await market.ask("GET", "/packages"))["count"] == 1


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"package_data": {}}', "application/json", 400),
        (b'{"package_data": {"name": "x\\u0000", "version": "1", "package_type": "database",', "application/json", 400),
        (b"PK\x03\x04 and nothing", "application/zip", 400),
        (b"", "application/zip", 400),
        (b"<xml/>", "text/xml", 415),
    ],
)
async def test_what_is_no_package_is_refused(idle: Market, content: bytes, kind: str, status: int) -> None:
    raw = {"content": content, "headers": {"content-type": kind}}
    assert (await idle.ask("POST", "/packages/import", status, **raw)).keys() == {"error"}


async def test_what_the_log_cannot_hold_is_refused(market: Market) -> None:
    package = await market.made()
    document = json.loads(await generated(market, package, format="json"))
    for wrong in ({"name": "a\0b"}, {"metadata": {"a": "\0"}}, {"dependencies": ["x"]}, {"name": ""}):
        await market.ask("POST", "/packages/import", 400, json={"package_data": {**document, "version": "2", **wrong}})
    assert (await market.ask("GET", "/packages"))["count"] == 1


async def test_dependencies_are_found_again_where_their_packages_came_before(market: Market) -> None:
    first = await market.made(name="first")
    second = await market.made(name="second", dependencies=[first])
    documents = [json.loads(await generated(market, one, format="json")) for one in (first, second)]
    assert documents[1]["dependencies"] == [first]
    ids = []
    for document in documents:
        body = {"package_data": {**document, "version": "2"}}
        ids.append((await market.ask("POST", "/packages/import", 201, json=body))["package"]["id"])
    assert (await market.ask("GET", f"/packages/{ids[1]}"))["package"]["dependencies"] == [ids[0]]


async def test_a_file_may_hold_some_tables_and_rows(market: Market) -> None:
    package = await market.made()
    body = {"format": "json", "tables": ["customers"], "where_clause": {"customers": "created_date >= '2025-01-01'"}}
    document = json.loads(await generated(market, package, **body))
    (customers,) = document["database_data"]["tables"]
    assert [row["name"] for row in customers["rows"]] == ["Bob", "Cid"]
    assert document["metadata"]["total_records"] == 2
    (exported, _) = await actions(market, package)
    assert (exported["recordsprocessed"], exported["tablesprocessed"]) == (2, 1)


@pytest.mark.parametrize("empty", ["", "  "])
async def test_an_empty_condition_is_never_everything(market: Market, empty: str) -> None:
    package = await market.made()
    body = {"format": "json", "where_clause": {"customers": empty}}
    refused = await market.ask("POST", f"/packages/{package}/generate", 400, json=body)
    assert "'customers' is empty" in refused["error"]
    assert len(json.loads(await generated(market, package, format="json", where_clause={"customers": None}))) > 1


async def test_a_condition_that_is_refused_is_a_failed_export(market: Market) -> None:
    package = await market.made()
    body = {"format": "json", "where_clause": {"customers": "id = (select 1)"}}
    refused = await market.ask("POST", f"/packages/{package}/generate", 400, json=body)
    assert "select" in refused["error"]
    (exported, _) = await actions(market, package)
    assert exported["actionstatus"] == "failed"
