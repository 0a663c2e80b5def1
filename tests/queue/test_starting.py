"""What stands before a start: approvals by whom a rule names, and freezes, also at the last moment."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from application.caller import Role
from application.claims import ClaimDeployment, claim_deployment
from application.execution import Work
from application.freezes import DeclareFreeze, declare_freeze
from application.ports.event_store import Circumstances
from domain.errors import Frozen
from domain.freezes import Scope
from domain.taxonomy import Taxonomy
from tests.conftest import Database, Running
from tests.identity.providers import SigningKey, serving
from tests.identity.world import World, guarded, world
from tests.queue.conftest import LANE, Queue


async def test_a_claim_that_read_the_world_before_a_freeze_fails(rollbook: Running) -> None:
    queue = Queue(rollbook.client)
    created = await queue.create()
    execute = rollbook.app.executor.execute
    circumstances = Circumstances(await rollbook.app.people.actor("acme", "ann"), {}, datetime.now(UTC), "c")
    tries: list[int] = []

    async def overtaken(work: Work, command: ClaimDeployment) -> str:
        """Decides, and before that is recorded somebody declares a freeze."""
        decided = await claim_deployment(work, command)
        tries.append(len(tries))
        if len(tries) == 1:
            await execute("acme", circumstances, declare_freeze, DeclareFreeze(Scope(), "sale"))
        return decided

    with pytest.raises(Frozen):
        await execute("acme", circumstances, overtaken, ClaimDeployment((Taxonomy(**LANE),), "r", 60))
    assert tries == [0]
    assert (await queue.show(created))["status"] == "scheduled"


async def test_what_is_frozen_starts_by_no_hand_but_what_became_of_it_is_heard(rollbook: Running) -> None:
    queue = Queue(rollbook.client)
    created = await queue.create()
    await queue.report(created, "in_progress")
    await queue.report(created, "scheduled")
    await queue.ask("POST", "/v1/freezes", 201, json={"reason": "sale"})
    refused = await queue.report(created, "in_progress", expect=423)
    assert refused.keys() == {"detail", "freeze_id", "who", "why", "until"}
    await queue.report(created, "deployed")


async def test_a_rollback_at_once_is_a_start_and_may_override_a_freeze(rollbook: Running) -> None:
    queue = Queue(rollbook.client)
    await queue.live("1")
    second = await queue.live("2")
    await queue.ask("POST", "/v1/freezes", 201, json={"scope": {"name": "shop"}, "reason": "sale"})
    path = f"/v1/deployments/{second['id']}/rollback"
    await queue.ask("POST", path, 423)
    assert (await queue.show(second))["status"] == "deployed"
    back = await queue.ask("POST", f"{path}?override=outage", 201)
    told = await queue.ask("GET", f"/v1/deployments/{back['id']}/history")
    assert "overriding a freeze: outage" in told["entries"][1]["summary"]
    await queue.ask("POST", "/v1/deployments/rollback", 201, params=LANE)


@pytest.fixture
async def team(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with serving() as stage:
        providers = stage.begin()
        async with world(database, guarded(tmp_path, providers), providers, SigningKey("first")) as running:
            yield running


async def asked(team: World, headers: dict[str, str], method: str, path: str, expect: int, body: Any = None) -> Any:
    """The answer's body."""
    answer = await team.rollbook.client.request(method, path, headers=headers, json=body)
    assert answer.status_code == expect, answer.text
    return answer.json() if answer.content else None


async def test_whom_a_rule_names_approves_what_others_ask_for_and_nothing_of_their_own(team: World) -> None:
    admin, dev = await team.own(Role.ADMIN), team.action(actor="dev")
    release = team.action(actor="rita", workflow="Release")
    rule = {"scope": {"environment": "production"}, "claims": {"workflow": "Release"}}
    await asked(team, admin, "PUT", "/v1/rules", 200, {"approval": [rule]})
    team.rollbook.app.rules.clear()
    body = {**LANE, "version": "1", "environment": "production", "type": "k8s", "auto": False}
    theirs, own = [await asked(team, who, "POST", "/v1/deployments", 201, body) for who in (dev, release)]
    claim = {"lanes": [LANE], "runner": "r"}
    await asked(team, dev, "POST", "/v1/deployments/claim", 204, claim)
    path = f"/v1/deployments/{theirs['id']}/approve"
    for who in (dev, team.action(actor="eve"), admin):
        await asked(team, who, "POST", path, 403, {"reason": "please"})
    refused = await asked(team, release, "POST", f"/v1/deployments/{own['id']}/approve", 403, {"reason": "mine"})
    assert refused == {"detail": "Nobody can approve a deployment of their own"}
    assert (await asked(team, release, "POST", path, 200, {"reason": "tested"}))["approved"] is True
    assert (await asked(team, dev, "POST", "/v1/deployments/claim", 200, claim))["id"] == theirs["id"]
    told = await asked(team, dev, "GET", f"/v1/deployments/{theirs['id']}/history", 200)
    approved = next(entry for entry in told["entries"] if entry["topic"] == "deployment.approved")
    assert (approved["actor"], approved["reason"], approved["summary"]) == ("rita", "tested", "Approved")
    assert approved["run"]["workflow"] == "Release"


async def test_without_a_rule_nothing_waits_and_with_one_reports_stay_free(team: World) -> None:
    dev = team.action(actor="dev")
    body = {**LANE, "version": "1", "environment": "production", "type": "k8s", "auto": False}
    first = await asked(team, dev, "POST", "/v1/deployments", 201, body)
    claimed = await asked(team, dev, "POST", "/v1/deployments/claim", 200, {"lanes": [LANE], "runner": "r"})
    assert claimed["id"] == first["id"]
    await asked(team, await team.own(Role.ADMIN), "PUT", "/v1/rules", 200, {"approval": [{}]})
    second = await asked(team, dev, "POST", "/v1/deployments", 201, body)
    for status in ("in_progress", "deployed"):
        await asked(team, dev, "PATCH", f"/v1/deployments/{second['id']}", 200, {"status": status})
