"""Packages leave Rollbook as files and come back, over HTTP."""

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest

from tests.packages.market import Market


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
    digest = (await market.app.executor.look("acme", *whole(package))).contents().manifest  # type: ignore[union-attr]
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
