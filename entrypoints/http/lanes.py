"""Lanes and the runners that work through them: what is live, claims, heartbeats, approvals, holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.postgres.conditions import equals, one_of
from application import claims as commands
from application.deployments import parse_id
from domain.errors import Clash, Frozen, LeaseLost, NotFound
from entrypoints.http import answers
from entrypoints.http import queue_models as models
from entrypoints.http.commands import execute
from entrypoints.http.deployments import (
    ONE,
    changed_row,
    deployment_answer,
    find_row,
    queue,
)
from entrypoints.http.headers import ALLOW_STALE
from entrypoints.http.reading import SHOWN, reading
from entrypoints.http.routing import Answer, Call, answer
from projections.registry import DEPLOYMENTS, LANES

MAX_LANES = 1000
WAITING_SHOWN = 10_000


@queue.get("/v1/lanes", action="lane.read", answer=list[answers.LaneObject], takes=(ALLOW_STALE,), gives=SHOWN)
async def list_lanes(call: Call, query: models.AsOf) -> Answer:
    """List lanes: what is live, what runs, what waits, what ran before, what is held back."""
    past = await reading(call, query.as_of)
    lanes: dict[str, Any] = {row["id"]: {**row, "waiting": []} for row in await past.select(LANES, limit=MAX_LANES)}
    for row in await past.select(DEPLOYMENTS, [equals("status", "scheduled")], limit=WAITING_SHOWN):
        if lane := lanes.get(row["lane_id"]):
            lane["waiting"].append({k: row[k] for k in ("id", "version", "environment", "trigger", "created_at")})
    return answer(list(lanes.values()), headers=past.headers())


@queue.get(
    "/v1/lanes/current", action="lane.read", answer=list[models.DeploymentObject], takes=(ALLOW_STALE,), gives=SHOWN
)
async def list_live(call: Call, query: models.AsOf) -> Answer:
    """List the deployments that are live, one a lane."""
    past = await reading(call, query.as_of)
    live = [row["live"]["deployment_id"] for row in await past.select(LANES, limit=MAX_LANES) if row["live"]]
    rows = await past.select(DEPLOYMENTS, [one_of("key", live)])
    return answer(await call.app.render(call.caller.organisation, rows), headers=past.headers())


@queue.post("/v1/lanes/release", action="lane.release", answer=answers.LaneObject, raises=(NotFound,))
async def release_hold(call: Call, body: models.ReleaseHoldBody) -> Answer:
    """Let automatic deployments go on after a rollback."""
    done = await execute(call, commands.release_hold, commands.ReleaseHold(body.taxonomy(), body.reason))
    page = await call.app.views.select(call.caller.organisation, LANES, [equals("key", done.resource)])
    return answer(page.rows[0])


def lease_seconds(call: Call, body: models.Claim | models.Heartbeat) -> int:
    """How long the claim holds without a word: as its runner asks, else as LEASE_SECONDS says."""
    return call.app.settings.lease_seconds if body.lease_seconds is None else body.lease_seconds


@queue.post(
    "/v1/deployments/claim",
    action="deployment.claim",
    answer=answers.ClaimedDeployment,
    empty={204: "Nothing may start"},
    raises=(Frozen,),
    gives=ONE,
)
async def claim_deployment(call: Call, body: models.Claim) -> Answer:
    """Take the next deployment of these lanes, under a lease; 204 when there is none."""
    lanes = tuple(lane.taxonomy() for lane in body.lanes)
    command = commands.ClaimDeployment(lanes, body.runner, lease_seconds(call, body), body.override)
    done = await execute(call, commands.claim_deployment, command)
    if not done.resource:
        return Answer(204)
    row = await changed_row(call, done)
    lease = {"fence": row["fence"], "expires_at": row["lease_until"]}
    return await deployment_answer(call, {**row, "lease": lease})


@queue.post(
    "/v1/deployments/{deployment_id}/heartbeat",
    action="deployment.claim",
    answer=answers.LeaseObject,
    appends=False,
    raises=(NotFound, LeaseLost),
)
async def prolong_claim(call: Call, deployment_id: str, body: models.Heartbeat) -> Answer:
    """Keep a claim: 410 when it has ended."""
    row = await find_row(call, deployment_id)
    commands.check_claimed(row["claimed_by"], row["fence"], body.fence)
    until = datetime.now(UTC) + timedelta(seconds=lease_seconds(call, body))
    await call.app.leases.prolong(call.caller.organisation, parse_id(deployment_id), body.fence, until)
    return answer({"fence": body.fence, "expires_at": until})


@queue.post(
    "/v1/deployments/{deployment_id}/approve",
    action="deployment.approve",
    answer=models.DeploymentObject,
    raises=(NotFound, Clash),
    gives=ONE,
)
async def approve_deployment(call: Call, deployment_id: str, body: models.Reason) -> Answer:
    """Let a manual deployment be claimed; nobody approves their own."""
    command = commands.ApproveDeployment(deployment_id, call.caller, body.reason)
    done = await execute(call, commands.approve_deployment, command)
    return await deployment_answer(call, await changed_row(call, done))
