"""Why something is live, or is not: a sentence for every reason, and the events that led there."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import Running
from tests.queue.conftest import LANE, Queue
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")
PRODUCTION = {"environment": "production"}


@pytest_asyncio.fixture(loop_scope="session")
async def queue(quiet: Running) -> Queue:
    return Queue(quiet.client, own_organisation())


async def why(queue: Queue, deployment: Any, **query: str) -> Any:
    """What is told of a deployment."""
    return await queue.ask("GET", f"/v1/deployments/{deployment['id']}/why", params=query)


async def why_lane(queue: Queue, deployment: Any, **query: str) -> Any:
    """What is told of its lane."""
    return await queue.ask("GET", f"/v1/lanes/{deployment['lane_id']}/why", params=query)


def kinds(told: Any) -> list[str]:
    """The kinds of its reasons."""
    return [one["kind"] for one in told["verdict"]["reasons"]]


def about(told: Any, kind: str) -> Any:
    """What its reason of a kind is about."""
    (found,) = [one for one in told["verdict"]["reasons"] if one["kind"] == kind]
    return found["refers_to"] and found["refers_to"]["id"]


def topics(told: Any) -> list[str]:
    """The chain, by topic."""
    return [link["topic"] for link in told["chain"]]


async def freeze(queue: Queue, **fields: Any) -> Any:
    """A freeze of production."""
    return await queue.ask("POST", "/v1/freezes", 201, json={"scope": PRODUCTION, "reason": "sale", **fields})


async def rules(queue: Queue, **approval: Any) -> None:
    """Manual deployments to production need an approval."""
    await queue.ask("PUT", "/v1/rules", json={"approval": [{"scope": PRODUCTION, **approval}]})


async def test_the_first_in_the_queue_is_next(queue: Queue) -> None:
    told = await why(queue, await queue.create())
    assert (told["verdict"]["state"], kinds(told), topics(told)) == ("next", ["next"], ["deployment.scheduled"])


async def test_what_is_live_is_told_with_its_commit_its_run_and_every_link(queue: Queue) -> None:
    created = await queue.create("1.1", commit_sha="4f2a", change_url="https://example.com/1")
    await queue.claim()
    await queue.report(created, "deployed")
    told = await why(queue, created)
    assert (told["verdict"]["state"], told["status"], told["version"]) == ("live", "deployed", "1.1")
    assert topics(told) == ["deployment.scheduled", "deployment.claimed", "deployment.deployed"]
    scheduled, claimed, deployed = told["chain"]
    assert (scheduled["commit"]["commit_sha"], scheduled["commit"]["change_url"]) == ("4f2a", "https://example.com/1")
    assert (claimed["rule"], claimed["inputs"]["lane"]) == ("rollback-first-then-newest", created["lane_id"])
    assert (deployed["actor"], deployed["interface"], deployed["commit"]) == ("local-dev", "queue", None)
    assert scheduled["run"].keys() == {"repository", "workflow", "run_id", "run_attempt", "sha", "ref"}
    assert all(len(link["hash"]) == 64 and link["event_id"] for link in told["chain"])


async def test_what_was_replaced_names_what_is_live(queue: Queue) -> None:
    first, second = await queue.live("1"), await queue.live("2")
    told = await why(queue, first)
    assert (kinds(told), about(told, "replaced")) == (["replaced"], second["id"])
    elsewhere = await queue.live("3", environment="staging")
    assert kinds(await why(queue, second)) == ["live"] == kinds(await why(queue, elsewhere))


async def test_what_replaced_it_may_be_gone_too(queue: Queue) -> None:
    first, second = await queue.live("1"), await queue.live("2")
    await queue.report(second, "rolled_back")
    told = await why(queue, first)
    assert (kinds(told), about(told, "replaced")) == (["replaced"], None)


async def test_it_waits_behind_what_is_in_progress(queue: Queue) -> None:
    running = await queue.create("1")
    await queue.report(running, "in_progress")
    waiting = await queue.create("2")
    told = await why(queue, waiting)
    assert (told["verdict"]["state"], about(told, "in_progress")) == ("in_progress", running["id"])


async def test_a_newer_one_is_taken_first(queue: Queue) -> None:
    older, newer = await queue.create("1"), await queue.create("2")
    told = await why(queue, older)
    assert (kinds(told), about(told, "newer")) == (["newer"], newer["id"])
    assert "skipped as soon as that starts" in told["verdict"]["reasons"][0]["words"]
    assert kinds(await why(queue, newer)) == ["next"]


async def test_an_urgent_rollback_goes_first_and_holds_what_is_automatic(queue: Queue) -> None:
    await queue.live("1")
    second = await queue.live("2")
    waiting = await queue.create("2")
    manual = await queue.create("3", auto=False)
    rollback = await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE)
    told = await why(queue, waiting)
    assert kinds(told) == ["held", "urgent_rollback", "newer"]
    assert (about(told, "held"), about(told, "urgent_rollback")) == (rollback["id"], rollback["id"])
    assert told["verdict"]["reasons"][0]["rule"] == "held-after-rollback"
    assert f"{second['id']} (2) was rolled back" in told["verdict"]["reasons"][0]["words"]
    assert "lane.held" in topics(told)
    assert kinds(await why(queue, manual)) == ["urgent_rollback"]
    assert kinds(await why(queue, rollback)) == ["next"]


async def test_a_hold_that_was_released_holds_nothing(queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2")
    await queue.report(await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE), "deployed")
    waiting = await queue.create("2")
    assert kinds(await why(queue, waiting)) == ["held"]
    await queue.ask("POST", "/v1/lanes/release", json={**LANE, "reason": "mended"})
    assert kinds(await why(queue, waiting)) == ["next"]


async def test_it_needs_an_approval_and_by_whom(queue: Queue) -> None:
    await rules(queue, claims={"team": "platform"})
    told = await why(queue, await queue.create(auto=False))
    assert kinds(told) == ["needs_approval"]
    words = told["verdict"]["reasons"][0]["words"]
    assert "environment production; whoever comes with team platform may give it, but not local-dev" in words
    assert topics(told) == ["rules.set", "deployment.scheduled"]
    assert kinds(await why(queue, await queue.create(auto=True, version="2"))) == ["next"]


async def test_an_approval_is_a_link_behind_the_rule_that_asked_for_it(queue: Queue) -> None:
    await rules(queue)
    created = await queue.create(auto=False)
    before = await why(queue, created)
    assert "an approver or an administrator may give it" in before["verdict"]["reasons"][0]["words"]
    await queue.ask("POST", f"/v1/deployments/{created['id']}/approve", json={"reason": "checked"})
    told = await why(queue, created)
    assert kinds(told) == ["next"]
    assert topics(told) == ["rules.set", "deployment.scheduled", "deployment.approved"]
    assert (told["chain"][-1]["rule"], told["chain"][-1]["reason"]) == ("approver-by-role", "checked")


async def test_it_is_frozen_by_whom_and_until_when(queue: Queue) -> None:
    created = await queue.create()
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    declared = await freeze(queue, until=until)
    told = await why(queue, created)
    (found,) = told["verdict"]["reasons"]
    assert (found["kind"], found["refers_to"]) == ("frozen", {"kind": "freeze", "id": declared["id"]})
    assert found["words"].startswith(
        "It is frozen by local-dev (sale), for environment production: the window opens at"
    )
    assert datetime.fromisoformat(found["until"]) == datetime.fromisoformat(until)
    assert topics(told) == ["deployment.scheduled", "freezes.declared"]
    assert kinds(await why(queue, await queue.create(environment="staging"))) == ["next"]


async def test_a_freeze_without_an_end_opens_when_it_is_lifted(queue: Queue) -> None:
    created = await queue.create()
    declared = await freeze(queue)
    assert "opens when somebody lifts it" in (await why(queue, created))["verdict"]["reasons"][0]["words"]
    await queue.ask("POST", f"/v1/freezes/{declared['id']}/lift", json={})
    assert kinds(await why(queue, created)) == ["next"]


async def test_a_start_in_spite_of_a_freeze_is_told_with_the_freeze(queue: Queue) -> None:
    await freeze(queue)
    created = await queue.create()
    await queue.report(created, "in_progress", override="the shop is down")
    told = await why(queue, created)
    assert topics(told) == ["freezes.declared", "deployment.scheduled", "deployment.started"]
    assert "overriding a freeze: the shop is down" in told["chain"][-1]["summary"]


async def test_what_runs_is_told_with_its_runner_and_its_lease(queue: Queue) -> None:
    created = await queue.create()
    claimed = await queue.claim()
    told = await why(queue, created)
    (found,) = told["verdict"]["reasons"]
    assert (found["kind"], "runner-1" in found["words"]) == ("in_progress", True)
    assert datetime.fromisoformat(found["until"]) == datetime.fromisoformat(claimed["lease"]["expires_at"])


async def test_what_is_scheduled_again_says_so(queue: Queue) -> None:
    created = await queue.create()
    await queue.report(created, "failed")
    await queue.report(created, "scheduled")
    assert kinds(await why(queue, created)) == ["next", "rescheduled"]


async def test_what_was_superseded_names_by_which_with_which_rule(queue: Queue) -> None:
    older, newer = await queue.create("1"), await queue.live("2")
    told = await why(queue, older)
    (found,) = told["verdict"]["reasons"]
    assert (found["kind"], found["rule"]) == ("superseded", "scheduled-before-deployed")
    assert found["refers_to"]["id"] == newer["id"]
    assert topics(told) == ["deployment.scheduled", "deployment.deployed", "lane.superseded", "deployment.skipped"]
    assert told["chain"][1]["summary"].startswith(newer["id"])


async def test_a_claim_supersedes_by_a_rule_of_its_own(queue: Queue) -> None:
    older = await queue.create("1")
    await queue.create("2")
    await queue.claim()
    assert (await why(queue, older))["verdict"]["reasons"][0]["rule"] == "scheduled-before-claimed"


@pytest.mark.parametrize("status", ["skipped", "cancelled", "failed", "rolled_back"])
async def test_what_somebody_reported_is_told_so(queue: Queue, status: str) -> None:
    created = await queue.create()
    await queue.report(created, status)
    told = await why(queue, created)
    assert (told["verdict"]["state"], "local-dev" in told["verdict"]["reasons"][0]["words"]) == (status, True)


async def test_what_was_rolled_back_at_once_names_what_takes_its_place(queue: Queue) -> None:
    await queue.live("1")
    second = await queue.live("2")
    instead = await queue.ask("POST", f"/v1/deployments/{second['id']}/rollback", 201)
    told = await why(queue, second)
    assert about(told, "rolled_back") == instead["id"]
    assert [link["topic"] for link in told["chain"] if link["stream"].endswith(instead["id"])] == [
        "deployment.scheduled",
        "deployment.started",
    ]
    mine = await why(queue, instead)
    assert "newest-other-deployed" in [link["rule"] for link in mine["chain"]]
    assert second["id"] in [link["stream"][11:] for link in mine["chain"]]


async def test_why_then_is_what_was_so_then_for_ever(queue: Queue) -> None:
    created = await queue.create("1")
    then = str((await queue.show(created))["position"])
    before = await why(queue, created, as_of=then)
    declared = await freeze(queue)
    frozen = str((await queue.ask("GET", "/v1/freezes"))[0]["created_at"])
    await queue.ask("POST", f"/v1/freezes/{declared['id']}/lift", json={})
    await queue.report(created, "deployed")
    assert before == await why(queue, created, as_of=then)
    assert kinds(before) == ["next"]
    assert kinds(await why(queue, created, as_of=frozen)) == ["frozen"]
    assert kinds(await why(queue, created)) == ["live"]


async def test_a_lane_tells_what_is_live_why_and_what_was_before(queue: Queue) -> None:
    first = await queue.live("1")
    second = await queue.live("2")
    told = await why_lane(queue, second)
    assert (told["live"]["deployment_id"], told["before"]["deployment_id"]) == (second["id"], first["id"])
    assert (told["verdict"]["state"], told["environment"]) == ("live", "production")
    assert topics(told) == ["deployment.scheduled", "deployment.deployed"]


async def test_a_lane_tells_each_environment_apart(queue: Queue) -> None:
    live, staging = await queue.live("1"), await queue.live("2", environment="staging")
    assert (await why_lane(queue, live))["live"]["deployment_id"] == staging["id"]
    told = await why_lane(queue, live, environment="production")
    assert (told["live"]["deployment_id"], told["before"]) == (live["id"], None)
    empty = await why_lane(queue, live, environment="nowhere")
    assert (empty["live"], empty["verdict"]["state"], empty["chain"]) == (None, "empty", [])


async def test_a_lane_in_which_nothing_is_live_says_so_and_what_was(queue: Queue) -> None:
    live = await queue.live("1")
    await queue.report(live, "rolled_back")
    told = await why_lane(queue, live)
    assert (told["live"], told["before"]["deployment_id"], kinds(told)) == (None, live["id"], ["empty"])
    waiting = await queue.create(cell="new")
    assert (await why_lane(queue, waiting))["before"] is None


@pytest.mark.parametrize("path", ["/v1/deployments/{}/why", "/v1/lanes/{}/why"])
@pytest.mark.parametrize("named", ["00000000-0000-4000-8000-000000000000", "x", "%00", "1' or '1'='1"])
async def test_of_what_is_unknown_nothing_is_told(queue: Queue, path: str, named: str) -> None:
    await queue.ask("GET", path.format(named), expect=404)


@pytest.mark.parametrize("as_of", ["99999999999", "2999-01-01T00:00:00Z", "yesterday", ""])
async def test_a_future_or_impossible_moment_is_refused(queue: Queue, as_of: str) -> None:
    created = await queue.create()
    for path in (f"/v1/deployments/{created['id']}/why", f"/v1/lanes/{created['lane_id']}/why"):
        await queue.ask("GET", path, expect=400, params={"as_of": as_of})
