"""Packages are made, listed, looked into, described and deleted over HTTP, in the words of their document."""

import hashlib
from typing import Any

import pytest

from tests.packages.market import Market

pytestmark = pytest.mark.asyncio(loop_scope="session")
RECORD = {"id", "name", "version", "packagetype", "description", "databasetype", "checksum", "filesize", "status"}
RECORD |= {"environment", "active", "createdby", "createdon"}


async def test_a_package_is_made_of_what_was_chosen(market: Market) -> None:
    where = {"customers": "created_date >= '2025-01-01'"}
    made = await market.create(filter={"tables": ["customers", "orders"], "where_clause": where})
    record = made["package"]
    assert made["message"] == "Package created successfully"
    assert record.keys() >= RECORD
    assert record["id"].startswith("pkg-")
    assert (record["packagetype"], record["databasetype"], record["status"]) == ("database", "postgresql", "active")
    assert (record["recordcounts"], record["active"]) == ({"customers": 2, "orders": 3}, True)
    assert record["createdon"].endswith("Z")
    told = await market.ask("GET", f"/packages/{record['id']}")
    tables = {table["table_name"]: table["rows"] for table in told["package"]["database_data"]["tables"]}
    assert [row["name"] for row in tables["customers"]] == ["Bob", "Cid"]
    assert [row["customer_id"] for row in tables["orders"]] == [2, 3, 3]
    (action,) = told["recent_actions"]
    assert (action["actiontype"], action["actionstatus"]) == ("pack", "completed")
    assert (action["recordsprocessed"], action["tablesprocessed"], action["sourceenvironment"]) == (5, 2, "dev")


async def test_packages_are_listed_newest_first_by_what_is_asked_for(market: Market) -> None:
    first, second = await market.made(), await market.made(version="2")
    await market.ask("PUT", f"/packages/{first}", json={"status": "archived"})

    async def listed(**where: Any) -> list[str]:
        told = await market.ask("GET", "/packages", params=where)
        assert told["count"] == len(told["packages"])
        return [one["id"] for one in told["packages"]]

    assert await listed() == [second, first]
    assert await listed(status="archived") == [first]
    assert await listed(limit=1) == [second]
    assert await listed(offset=1) == [first]
    assert await listed(environment="staging") == []
    assert await listed(environment="dev", package_type="database") == [second, first]
    assert await listed(package_type="document") == []


@pytest.mark.parametrize("query", ["limit=abc", "package_type=other", "status=gone", "as_of=now", "offset=-1"])
async def test_a_bad_filter_is_a_400(idle: Market, query: str) -> None:
    assert (await idle.ask("GET", f"/packages?{query}", 400)).keys() == {"error"}


async def test_what_was_deleted_is_gone_and_its_name_is_free(market: Market) -> None:
    package = await market.made()
    await market.create(409)
    assert await market.ask("DELETE", f"/packages/{package}") == {
        "message": "Package deleted successfully",
        "package_id": package,
    }
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/actions"), ("GET", "/data?table=customers")):
        assert await market.ask(method, f"/packages/{package}{path}", 404) == {"error": "Package not found"}
    assert (await market.ask("GET", "/packages"))["count"] == 0
    assert (await market.ask("GET", "/packages?status=deleted"))["count"] == 0
    assert await market.made() != package


async def test_only_what_is_sent_changes(market: Market) -> None:
    package = await market.made(description="first", metadata={"department": "sales"})
    told = await market.ask("PUT", f"/packages/{package}", json={"tags": ["gdpr"], "status": "archived"})
    assert told == {"message": "Package updated successfully", "package_id": package}
    document = (await market.ask("GET", f"/packages/{package}"))["package"]
    assert (document["description"], document["status"], document["tags"]) == ("first", "archived", ["gdpr"])
    assert document["metadata"]["department"] == "sales"
    await market.ask("PUT", f"/packages/{package}", json={"description": None, "metadata": {"reviewer": "ann"}})
    document = (await market.ask("GET", f"/packages/{package}"))["package"]
    assert (document["description"], document["metadata"]["reviewer"]) == (None, "ann")
    await market.ask("PUT", f"/packages/{package}", 400, json={"status": "deleted"})


async def test_lists_and_details_answer_as_of_the_past(market: Market) -> None:
    made = await market.send("POST", "/packages", 201, json=PLAIN)
    package, then = made.json()["package"]["id"], made.headers["x-rollbook-position"]
    await market.ask("PUT", f"/packages/{package}", json={"description": "later"})
    await market.ask("DELETE", f"/packages/{package}")
    assert (await market.ask("GET", f"/packages?as_of={then}"))["packages"][0]["description"] is None
    assert (await market.ask("GET", f"/packages/{package}?as_of={then}"))["package"]["description"] is None
    assert (await market.ask("GET", f"/packages/{package}/actions?as_of={then}"))["count"] == 1


PLAIN = {
    "name": "plain",
    "version": "1",
    "package_type": "database",
    "environment": "dev",
    "filter": {"tables": ["customers"]},
}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"filter": {"tables": ["custmers"]}}, "custmers"),
        ({"filter": {"tables": []}}, "tables"),
        ({"filter": {"tables": ["orders"], "where_clause": {"customers": "id = 1"}}}, "customers"),
        ({"filter": {"tables": ["orders"], "where_clause": {"orders": "amonut > 1"}}}, "amonut"),
        ({"filter": {"tables": ["orders"], "where_clause": {"orders": "id = (select 1)"}}}, "select"),
        ({"filter": {"tables": ["orders"], "where_clause": {"orders": {"id": 1}}}}, "orders"),
        ({"filter": {"tables": ["orders"], "where_clause": {"orders": ""}}}, "'orders' is empty"),
        ({"filter": {"tables": ["orders"], "where_clause": {"orders": " \n"}}}, "'orders' is empty"),
        ({"filter": {"tables": ["orders"], "where_clause": {"orders": {}}}}, "'orders' must be a text"),
        ({"filter": {"tables": ["orders"], "where_clause": {"orders": []}}}, "orders"),
        ({"filter": {"tables": ["orders"], "exclude_columns": {"orders": ["nothing"]}}}, "nothing"),
        ({"filter": {"tables": ["orders"], "exclude_columns": {"orders": ["id"]}}}, "key"),
        ({"filter": {"tables": ["orders"], "where_clauses": {}}}, "where_clauses"),
        ({"masks": {"customers": {"email": "rot13"}}}, "masks"),
        ({"masks": {"customers": {"emial": "hash"}}}, "emial"),
        ({"masks": {"customers": {"name": "null"}}}, "'name'"),
        ({"masks": {"customers": {"id": "hash"}}}, "'id'"),
        ({"masks": {"orders": {"customer_id": "hash"}}}, "'customer_id'"),
        ({"match_keys": {"customers": ["emial"]}}, "emial"),
        ({"environment": "nowhere"}, "nowhere"),
        ({"environment": None}, "environment"),
        ({"package_type": "document", "filter": {"collections": ["a"]}}, "postgresql"),
        ({"package_type": "file"}, "package_type"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
    ],
)
async def test_what_makes_no_sense_is_a_400_that_names_it_and_leaves_nothing(
    idle: Market, wrong: dict[str, Any], word: str
) -> None:
    assert word in (await idle.create(400, **wrong))["error"]
    assert (await idle.ask("GET", "/packages"))["count"] == 0


async def test_what_the_source_refuses_stays_as_a_failed_package_with_its_reason(market: Market) -> None:
    where = {"customers": "created_date >= 'yesterdayish'"}
    refused = await market.create(400, filter={"tables": ["customers"], "where_clause": where})
    assert "yesterdayish" in refused["error"]
    (record,) = (await market.ask("GET", "/packages"))["packages"]
    assert (record["status"], record["checksum"]) == ("failed", None)
    (action,) = (await market.ask("GET", f"/packages/{record['id']}/actions"))["actions"]
    assert (action["actionstatus"], action["errorlog"]) == ("failed", [refused["error"]])
    assert (await market.ask("GET", f"/packages/{record['id']}"))["package"]["status"] == "failed"
    await market.ask("GET", f"/packages/{record['id']}/data?table=customers", 409)
    await market.create()


async def test_a_package_whose_packing_takes_long_is_a_202_with_its_job(idle: Market) -> None:
    told = await idle.create(202, run_as_background=True)
    assert told["job_id"] == told["package"]["id"].replace("pkg-", "pack-")
    assert (told["status"], told["package"]["status"]) == ("queued", "packing")
    assert (await idle.ask("GET", f"/packages/{told['package']['id']}"))["package"]["status"] == "packing"
    assert (await idle.ask("GET", f"/jobs/{told['job_id']}"))["job_type"] == "package_packing"
    await idle.ask("DELETE", f"/packages/{told['package']['id']}")
    assert (await idle.ask("GET", f"/jobs/{told['job_id']}"))["status"] == "cancelled"


async def test_a_repeat_with_the_same_key_makes_no_second_package(market: Market) -> None:
    key = {"Idempotency-Key": "once"}
    first = await market.ask("POST", "/packages", 201, json=PLAIN, headers=key)
    market.sql("drop table customers cascade")
    again = await market.ask("POST", "/packages", 201, json=PLAIN, headers=key)
    assert again["package"]["id"] == first["package"]["id"]
    assert (await market.ask("GET", "/packages"))["count"] == 1


async def test_the_environment_goes_without_saying_when_only_one_fits(market: Market) -> None:
    market.app.environments.configured.pop((market.organisation, "staging"))
    assert (await market.create(environment=None))["package"]["environment"] == "dev"


async def test_a_table_with_many_rows_is_a_link_whose_pages_hold_them_all(market: Market) -> None:
    market.sql(
        "insert into customers (name, created_date) select 'n' || g, '2025-01-01' from generate_series(1, 1998) g"
    )
    package = await market.made(filter={"tables": ["customers"]})
    (table,) = (await market.ask("GET", f"/packages/{package}"))["package"]["database_data"]["tables"]
    assert ("rows" in table, table["row_count"]) == (False, 2001)
    names, path = list[str](), f"{table['data_url'].removeprefix('/api')}&limit=800"
    while path:
        page = await market.send("GET", path)
        names += [row["name"] for row in page.json()["rows"]]
        path = page.links["next"]["url"].removeprefix("/api") if "next" in page.links else ""
    assert names == [name for (name,) in market.sql("select name from customers order by id")]
    assert (await market.ask("GET", f"/packages/{package}/data?offset=2000"))["count"] == 1
    await market.ask("GET", f"/packages/{package}/data?table=orders", 404)
    await market.ask("GET", f"/packages/{package}/data?cursor=0-5", 400)


async def test_a_preview_says_what_would_be_in_and_why_and_makes_nothing(idle: Market) -> None:
    body = {"environment": "dev", "include_parent": True}
    chosen = {"tables": ["orders"], "where_clause": {"orders": "amount > 1"}}
    told = await idle.ask("POST", "/packages/preview", json={**body, "filter": chosen})
    tables = {table["name"]: table for table in told["tables"]}
    assert (told["total_records"], told["databasetype"]) == (4, "postgresql")
    assert tables["orders"]["reasons"] == {"selected": 2}
    assert tables["customers"]["reasons"] == {"referred to by orders": 2}
    assert [row["name"] for row in tables["customers"]["sample"]] == ["Bob", "Cid"]
    assert tables["customers"]["bytes"] > 0
    assert (await idle.ask("GET", "/packages"))["count"] == 0
    assert (
        "nothing"
        in (await idle.ask("POST", "/packages/preview", 400, json={**body, "filter": {"tables": ["nothing"]}}))["error"]
    )


async def test_a_package_that_depends_on_nothing_known_is_a_404(idle: Market) -> None:
    unknown = "pkg-0b43851b-b109-4028-ba79-2e49c6138dbc"
    assert unknown in (await idle.create(404, dependencies=[unknown]))["error"]


def digest(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()
