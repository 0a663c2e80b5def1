"""Which key became which, however many there are; and what a deployment would do."""

import csv
import json

import pytest

from tests.deployments.conftest import Shop, run

pytestmark = pytest.mark.asyncio(loop_scope="session")
MANY = "insert into customers (name) select 'customer ' || n from generate_series(4, 1500) n"


async def test_a_long_mapping_is_cut_counted_and_read_by_pages(shop: Shop) -> None:
    run(shop.source, MANY)
    made = (await shop.deploy(await shop.pack()))["deployment"]
    more = made["pk_mapping_more"]["customers"]
    assert len(made["pk_mapping_result"]["customers"]) == 1000
    assert more["count"] == 1500
    assert made["pk_mapping_result"]["orders"] == {"1": "1", "2": "2", "3": "3"}
    whole: dict[str, str] = {}
    tail = ""
    for _ in range(3):
        page = await shop.ask("GET", f"{more['link'].removeprefix('/api')}&limit=700{tail}")
        whole |= {one["source"]: one["target"] for one in page["mappings"]}
        tail = f"&cursor={page['next']}"
    assert page["next"] is None
    assert whole == {str(n): str(n + 7) for n in range(1, 1501)}
    assert made["pk_mapping_result"]["customers"].items() <= whole.items()


@pytest.mark.parametrize("form", ["ndjson", "csv"])
async def test_all_keys_are_downloaded_in_lines(shop: Shop, form: str) -> None:
    made = (await shop.deploy(await shop.pack()))["deployment"]
    answered = await shop.answer("GET", f"/deployments/{made['id']}/mappings/download", params={"format": form})
    assert answered.headers["content-disposition"] == f"attachment; filename={made['id']}-mappings.{form}"
    lines = answered.text.splitlines()
    read = list(csv.DictReader(lines)) if form == "csv" else [json.loads(line) for line in lines]
    told = {(table, *pair) for table, keys in made["pk_mapping_result"].items() for pair in keys.items()}
    assert {(one["table"], one["source"], one["target"]) for one in read} == told
    assert len(read) == 6


async def test_keys_are_asked_for_by_table_and_are_gone_after_a_rollback(shop: Shop) -> None:
    made = (await shop.deploy(await shop.pack()))["deployment"]
    path = f"/deployments/{made['id']}/mappings"
    assert "table" in (await shop.ask("GET", path, 400))["error"]
    assert "nowhere" in (await shop.ask("GET", path, 404, params={"table": "nowhere"}))["error"]
    assert "cursor" in (await shop.ask("GET", path, 400, params={"table": "orders", "cursor": "-1"}))["error"]
    assert (await shop.ask("GET", path, params={"table": "orders", "limit": 0}))["mappings"] == []
    await shop.roll_back(made["id"])
    await shop.ask("GET", path, 409, params={"table": "orders"})


async def test_a_diff_counts_what_a_deployment_would_do_and_changes_nothing(shop: Shop) -> None:
    await shop.deploy(await shop.pack())
    run(shop.source, "update customers set mail = 'new' where name in ('Ann', 'Bob'); delete from orders")
    run(shop.source, "insert into customers (name) values ('Dee')")
    run(shop.staging, "update customers set mail = 'their own' where name = 'Bob'")
    second = await shop.pack(version="2")
    body = {"environment": "staging", "options": {"update_existing": True}}
    told = (await shop.ask("POST", f"/packages/{second}/diff", json=body))["tables"]["customers"]
    assert [told[kind] for kind in ("new", "changed", "same", "conflict")] == [1, 1, 1, 1]
    assert told["samples"]["conflict"][0]["target"]["mail"] == "their own"
    assert told["samples"]["new"][0]["package"]["name"] == "Dee"
    refused = await shop.deploy(second, 409, update_existing=True)
    assert "customers" in refused["error"]
    forced = await shop.deploy(second, update_existing=True, force=True)
    assert forced["deployment"]["tables"]["customers"] == {"new": 1, "changed": 2, "same": 1, "failed": 0}


async def test_a_rollback_that_would_lose_later_writes_is_refused_unless_forced(shop: Shop) -> None:
    package = await shop.pack()
    made = (await shop.deploy(package))["deployment"]
    run(shop.staging, "update customers set mail = 'their own' where name = 'Bob'")
    refused = await shop.roll_back(made["id"], 409)
    assert "customers" in refused["error"]
    still = await shop.deployment(made["id"])
    assert (still["status"], still["isactive"], still["errorlog"]) == ("completed", True, [refused["error"]])
    assert (await shop.actions(package))[0] == ("rollback", "failed")
    assert (await shop.roll_back(made["id"], force=True))["deployment"]["isactive"] is False
    assert (await shop.actions(package))[0] == ("rollback", "completed")
    await shop.roll_back(made["id"], 409)
