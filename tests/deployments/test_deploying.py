"""Deploying a package while the caller waits, later, again, side by side; and the list of it."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from tests.deployments.conftest import SOLD, Shop, rows, run

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = "select count(*) from customers"


async def test_a_dry_run_counts_exactly_and_leaves_an_action_alone(shop: Shop) -> None:
    package = await shop.pack()
    tried = await shop.deploy(package, dry_run=True)
    assert tried["message"] == "Package validated successfully"
    assert (tried["deployment"]["status"], tried["deployment"]["deployed_at"]) == ("validated", None)
    assert tried["deployment"]["tables"]["orders"] == {"new": 3, "changed": 0, "same": 0, "failed": 0}
    assert rows(shop.staging) == []
    assert await shop.deployments() == []
    assert (await shop.actions(package))[0] == ("validate", "completed")
    assert (await shop.deploy(package))["deployment"]["tables"] == tried["deployment"]["tables"]


async def test_what_failed_is_tried_again_under_its_own_id(shop: Shop) -> None:
    package = await shop.pack()
    run(shop.staging, "alter table orders rename to sales")
    await shop.deploy(package, 400)
    (failed,) = await shop.deployments(status="failed")
    run(shop.staging, "alter table sales rename to orders")
    await shop.ask("POST", f"/jobs/{failed['id']}/retry")
    await shop.job(failed["id"], "completed")
    (there,) = await shop.deployments()
    assert (there["id"], there["status"], there["errorlog"], there["isactive"]) == (failed["id"], "completed", [], True)
    assert there["actionid"] != failed["actionid"]
    assert await shop.actions(package) == [("deploy", "completed"), ("deploy", "failed"), ("pack", "completed")]
    assert rows(shop.staging) == SOLD


async def test_a_time_alone_means_a_job_and_a_past_one_now(shop: Shop) -> None:
    package = await shop.pack()
    later = datetime.now(timezone(timedelta(hours=-5))) + timedelta(hours=1)
    waiting = await shop.deploy(package, 202, schedule_at=later.isoformat())
    assert waiting["message"] == "Deployment job created"
    assert waiting["status"] == "scheduled"
    assert waiting["job_id"].startswith("deploy-")
    job = await shop.ask("GET", f"/jobs/{waiting['job_id']}")
    assert (job["status"], job["scheduled_at"]) == ("pending", later.astimezone(UTC).isoformat().replace("+00:00", "Z"))
    assert (await shop.deployment(waiting["job_id"]))["scheduledat"] == job["scheduled_at"]
    await shop.deploy(package, 400, schedule_at="9999-12-31T23:59:59-01:00")
    assert [one["status"] for one in await shop.deployments()] == ["pending"]
    past = await shop.deploy(package, 202, schedule_at="2025-11-18T23:00:00Z")
    done = await shop.job(past["job_id"], "completed")
    assert done["job_data"]["package_id"] == package
    assert (await shop.deployment(past["job_id"]))["isactive"] is True


async def test_a_job_that_was_cancelled_before_its_time_leaves_a_failed_action(shop: Shop) -> None:
    package = await shop.pack()
    waiting = await shop.deploy(package, 202, schedule_at="2999-01-01T00:00:00Z")
    await shop.ask("POST", f"/jobs/{waiting['job_id']}/cancel", json={"reason": "not today"})
    told = await shop.deployment(waiting["job_id"])
    assert (told["status"], told["errorlog"]) == ("failed", ["not today"])
    assert (await shop.actions(package))[0] == ("deploy", "failed")


async def test_of_two_deployments_at_once_one_waits(shop: Shop) -> None:
    package = await shop.pack()
    with psycopg.connect(shop.staging) as somebody:
        somebody.execute("lock table customers in access exclusive mode")
        first = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        await shop.job(first, "processing")
        async with asyncio.timeout(20):
            while (await shop.deployment(first))["status"] != "in_progress":
                await asyncio.sleep(0.05)
        second = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        async with asyncio.timeout(20):
            while not ((await shop.ask("GET", f"/jobs/{second}"))["progress"] or {}).get("waits"):
                await asyncio.sleep(0.05)
        somebody.rollback()
    ended = [await shop.job(one, "completed", "failed") for one in (first, second)]
    assert [(one["status"], one["retry_count"]) for one in ended] == [("completed", 0)] * 2
    assert (await shop.deployment(first))["replacedby"] == second
    assert rows(shop.staging) == SOLD


async def test_a_cancelled_deployment_takes_its_rows_back(shop: Shop) -> None:
    package = await shop.pack()
    with psycopg.connect(shop.staging) as somebody:
        somebody.execute("lock table orders in access exclusive mode")
        job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        async with asyncio.timeout(20):
            while not rows(shop.staging, "select from pg_locks where not granted"):
                await asyncio.sleep(0.05)
        await shop.ask("POST", f"/jobs/{job}/cancel", json={"reason": "wrong one"})
        await shop.job(job, "cancelled")
    assert rows(shop.staging, COUNT) == [(7,)]
    assert (await shop.deployment(job))["errorlog"] == ["wrong one"]
    assert (await shop.deploy(package))["deployment"]["tables"]["customers"]["new"] == 3


async def test_a_repeat_under_the_same_key_answers_the_same_deployment(shop: Shop) -> None:
    package = await shop.pack()
    facts: dict[str, Any] = {"json": {"environment": "staging"}, "headers": {"Idempotency-Key": "once"}}
    first = await shop.ask("POST", f"/packages/{package}/deploy", **facts)
    assert await shop.ask("POST", f"/packages/{package}/deploy", **facts) == first
    assert len(await shop.deployments()) == 1


async def test_what_takes_longer_than_a_request_goes_on_as_a_job(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    package = await shop.pack()
    monkeypatch.setattr(shop.rollbook.app.settings, "request_timeout_seconds", 1)
    with psycopg.connect(shop.staging) as somebody:
        somebody.execute("lock table customers in access exclusive mode")
        told = await shop.deploy(package, 202)
        assert told["message"] == "Deployment goes on in the background"
    await shop.job(told["job_id"], "completed")
    assert rows(shop.staging) == SOLD


async def test_a_target_that_ends_its_connection_half_way_has_nothing_and_then_everything(shop: Shop) -> None:
    package = await shop.pack()
    with psycopg.connect(shop.staging) as somebody:
        somebody.execute("lock table orders in access exclusive mode")
        job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        ended = "select pid, pg_terminate_backend(pid) from pg_locks where not granted"
        async with asyncio.timeout(20):
            while not rows(shop.staging, ended):
                await asyncio.sleep(0.05)
        failed = await shop.job(job, "retry")
        assert "does not answer" in failed["last_error"]
        assert rows(shop.staging, COUNT) == [(7,)]
    done = await shop.job(job, "completed")
    assert done["retry_count"] == 1
    assert await shop.actions(package) == [("deploy", "completed"), ("pack", "completed")]
    assert rows(shop.staging) == SOLD


async def test_deployments_are_filtered_and_paged(shop: Shop) -> None:
    shop_data, people = await shop.pack(), await shop.pack("people", "1", "customers")
    first = (await shop.deploy(shop_data))["deployment"]["id"]
    await shop.deploy(people)
    last = (await shop.deploy(shop_data))["deployment"]["id"]
    assert [one["packageid"] for one in await shop.deployments(package="people")] == [people]
    assert [one["id"] for one in await shop.deployments(package=shop_data)] == [last, first]
    assert [one["id"] for one in await shop.deployments(package="shop-data", is_active="false")] == [first]
    assert await shop.deployments(environment="production") == []
    assert await shop.deployments(status="failed") == []
    assert len(await shop.deployments(status="completed")) == 3
    page = await shop.ask("GET", "/deployments", params={"limit": 1, "offset": 2})
    assert ([one["id"] for one in page["deployments"]], page["count"], page["limit"], page["offset"]) == (
        [first],
        1,
        1,
        2,
    )
    for query in ("is_active=perhaps", "limit=abc", "status=done"):
        assert "error" in await shop.ask("GET", f"/deployments?{query}", 400)
