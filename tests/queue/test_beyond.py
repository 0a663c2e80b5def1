"""What the queue's users miss in the original: history, lanes, claims, approvals, freezes, rules, tokens."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from entrypoints.workers.housekeeping import Housekeeping
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.queue.conftest import LANE, Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_history_tells_who_did_what_and_why(queue: Queue) -> None:
    old = await queue.create("1")
    live = await queue.live("2")
    told = await queue.ask("GET", f"/v1/deployments/{old['id']}/history")
    assert [e["topic"] for e in told["entries"]] == ["deployment.scheduled", "deployment.skipped"]
    assert live["id"] in told["entries"][1]["summary"]
    assert {e["actor"] for e in told["entries"]} == {"local-dev"}


async def test_lanes_tell_what_is_live_what_waits_and_what_was_before(queue: Queue) -> None:
    first, second, third = await queue.live("1"), await queue.live("2"), await queue.create("3")
    (lane,) = await queue.ask("GET", "/v1/lanes")
    assert lane["live"]["deployment_id"] == second["id"]
    assert [w["id"] for w in lane["waiting"]] == [third["id"]]
    assert [p["deployment_id"] for p in lane["previous"]] == [first["id"]]
    assert [d["id"] for d in await queue.ask("GET", "/v1/lanes/current")] == [second["id"]]


async def test_a_runner_gets_the_newest_and_the_older_automatic_ones_are_skipped(queue: Queue) -> None:
    old, manual, newest = await queue.create("1"), await queue.create("2", auto=False), await queue.create("3")
    claimed = await queue.claim()
    assert (claimed["id"], claimed["status"]) == (newest["id"], "in_progress")
    assert claimed["lease"]["fence"] == 1
    skipped = await queue.show(old)
    assert (skipped["status"], skipped["skipped_by"]) == ("skipped", newest["id"])
    assert (await queue.show(manual))["status"] == "scheduled"
    await queue.claim(expect=204)
    await queue.report(newest, "deployed", lease=1)
    await queue.claim(expect=204)


async def test_a_queued_rollback_goes_first_and_holds_the_lane_until_released(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2")
    back = await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE)
    assert (await queue.claim())["id"] == back["id"]
    await queue.report(back, "deployed")
    again = await queue.create("2")
    await queue.claim(expect=204)
    await queue.ask("POST", "/v1/lanes/release", json={**LANE, "reason": "fixed"})
    assert (await queue.claim())["id"] == again["id"]


@pytest_asyncio.fixture(loop_scope="session")
async def alone(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Rollbook of this test's own."""
    async with running_rollbook(settings_for(tmp_path), database) as running:
        yield running


async def test_a_silent_runner_loses_its_claim_and_its_late_word_is_refused(alone: Running) -> None:
    queue = Queue(alone.client)
    created = await queue.create()
    await queue.claim(lease_seconds=5)
    path = f"/v1/deployments/{created['id']}/heartbeat"
    await queue.ask("POST", path, json={"fence": 1, "lease_seconds": 3600})
    housekeeping = Housekeeping(alone.app)
    await housekeeping.end_silent_claims()
    assert (await queue.show(created))["status"] == "in_progress"
    async with alone.app.pools.writing("acme") as connection:
        await connection.execute("update rollbook.leases set expires_at = now() - interval '1 second'")
        # The lease that the claim itself gave is over only after five seconds; the heartbeat's has just ended.
    overdue = datetime.now(UTC) + timedelta(seconds=10)
    ((organisation, deployment_id, fence),) = await alone.app.leases.overdue(overdue)
    assert await alone.app.leases.end_if_over(organisation, deployment_id, fence, overdue)
    await housekeeping.lapse(organisation, deployment_id, fence)
    assert (await queue.show(created))["status"] == "scheduled"
    await queue.ask("POST", path, 410, json={"fence": 1})
    await queue.report(created, "deployed", expect=410, lease=1)
    assert (await queue.claim())["lease"]["fence"] == 2


async def test_a_manual_deployment_waits_for_its_approval_without_blocking_the_lane(queue: Queue) -> None:
    await queue.ask("PUT", "/v1/rules", json={"approval": [{"scope": {"environment": "production"}}]})
    automatic = await queue.create("1")
    manual = await queue.create("2", auto=False)
    assert (await queue.claim())["id"] == automatic["id"]
    await queue.report(automatic, "deployed")
    await queue.claim(expect=204)
    await queue.ask("POST", f"/v1/deployments/{manual['id']}/approve", json={"reason": "looks good"})
    assert (await queue.claim())["id"] == manual["id"]


async def test_nothing_new_starts_during_a_freeze_unless_overridden(queue: Queue) -> None:
    created = await queue.create()
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"scope": {"environment": "production"}, "reason": "sale", "until": until}
    freeze = await queue.ask("POST", "/v1/freezes", 201, json=body)
    refused = await queue.claim(expect=423)
    assert (refused["why"], refused["who"]) == ("sale", "local-dev")
    await queue.report(created, "in_progress", expect=423)
    assert (await queue.report(created, "in_progress", override="security fix"))["status"] == "in_progress"
    await queue.ask("POST", f"/v1/freezes/{freeze['id']}/lift", json={"reason": "over"})
    await queue.report(await queue.create("2", cell="c"), "in_progress")
    (listed,) = await queue.ask("GET", "/v1/freezes")
    assert (listed["lifted_by"], listed["lift_reason"]) == ("local-dev", "over")
    await queue.ask("POST", f"/v1/freezes/{freeze['id']}/lift", 404, json={})


async def test_strict_transitions_and_if_match_are_for_whoever_asks_for_them(queue: Queue) -> None:
    await queue.ask("PUT", "/v1/rules", json={"strict_transitions": True, "require_if_match": True})
    created = await queue.create()
    await queue.report(created, "in_progress", expect=412)
    path = f"/v1/deployments/{created['id']}"
    await queue.ask("PATCH", path, 409, json={"status": "deployed"}, headers={"If-Match": '"1"'})
    await queue.ask("PATCH", path, json={"status": "in_progress"}, headers={"If-Match": '"1"'})


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Rollbook that asks who is there."""
    async with running_rollbook(settings_for(tmp_path, auth_enabled=True), database) as running:
        yield running


async def token(rollbook: Running, **fields: object) -> dict[str, str]:
    """A token of the organisation, made while authentication was off; its headers."""
    made = await Queue(rollbook.client).ask("POST", "/v1/tokens", 201, json={"name": "ci", **fields})
    return {"Authorization": f"Bearer {made['token']}", "X-Id": made["id"]}


async def test_a_token_opens_what_its_role_and_scope_allow_until_it_is_revoked(
    database: Database, tmp_path: Path, alone: Running
) -> None:
    viewer, deployer = await token(alone, role="viewer"), await token(alone, role="deployer")
    narrow = await token(alone, role="deployer", scope=["deployment.read"])
    body = {**LANE, "version": "1", "environment": "p", "type": "k8s"}
    async with running_rollbook(settings_for(tmp_path, auth_enabled=True), database) as guarded:
        for headers, expected in ((viewer, 403), (deployer, 201), (narrow, 403)):
            answer = await guarded.client.post("/v1/deployments", json=body, headers=headers)
            assert answer.status_code == expected, answer.text
            assert (await guarded.client.get("/v1/deployments", headers=headers)).status_code == 200
        assert (await guarded.client.get("/v1/tokens", headers=deployer)).status_code == 403
        await Queue(alone.client).ask("DELETE", f"/v1/tokens/{deployer['X-Id']}")
        refused = await guarded.client.get("/v1/deployments", headers=deployer)
        assert (refused.status_code, refused.json()) == (401, {"detail": "Invalid API token"})


async def test_without_authorization_nobody_gets_in_but_the_documents_are_open(guarded: Running) -> None:
    refused = await guarded.client.get("/v1/deployments")
    assert (refused.status_code, refused.json()) == (401, {"detail": "Missing authorization header"})
    assert refused.headers["www-authenticate"] == "Bearer"
    for path in ("/docs", "/redoc", "/openapi.json"):
        page = await guarded.client.get(path)
        assert page.status_code == 200
        assert "https://" not in page.text.replace("https://json-schema.org", "")
