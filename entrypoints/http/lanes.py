"""Lanes and the runners that work through them: what is live, claims, heartbeats, approvals, holds."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from adapters.postgres.conditions import beyond, equals, in_lanes, one_of
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
from entrypoints.http.epochs import fences_above
from entrypoints.http.headers import LINK
from entrypoints.http.paging import cursor_of, next_link
from entrypoints.http.reading import SHOWN, TAKEN, Reading, reading, resolve_moment
from entrypoints.http.routing import Answer, Call, answer
from entrypoints.http.valid_time import live_at
from projections.read_model import Row, moment
from projections.registry import DEPLOYMENTS, LANES

FILTERS = ("name", "provider", "cloud_account_id", "region", "cell")
WAITING_SHOWN = 10_000
LISTED = (*SHOWN, LINK)


@queue.get("/v1/lanes", action="lane.read", answer=list[answers.LaneObject], takes=TAKEN, gives=LISTED)
async def list_lanes(call: Call, query: models.ListLanes) -> Answer:
    """List lanes, newest first: what is live, what runs, what waits, what ran before, what is held back."""
    past, lanes, link = await page_of(call, query)
    return answer(await with_waiting(past, lanes), headers=past.headers() | link)


async def page_of(
    call: Call, query: models.ListLanes, instead: Mapping[str, str] = MappingProxyType({})
) -> tuple[Reading, list[Row], dict[str, str]]:
    """Where the page was read, its lanes, and the link to the next one, with some parameters `instead` of what came."""
    wanted = [equals(f, str(v)) for f in FILTERS if (v := getattr(query, f)) is not None]
    if query.cell_is_null:
        wanted.append(equals("cell", None))
    as_of = query.as_of
    if query.cursor:
        shown, after = cursor_of(call, query.cursor)
        as_of = str(shown)
        wanted.append(beyond("created_position", after, ascending=False))
    past = await reading(call, as_of)
    lanes = await past.select(LANES, wanted, limit=query.limit)
    full = len(lanes) == query.limit > 0
    link = {"link": next_link(call, past.position, lanes[-1]["created_position"], instead=instead)} if full else {}
    return past, lanes, link


async def with_waiting(past: Reading, lanes: list[Row]) -> list[Row]:
    """The lanes with what waits in them, newest first."""
    wanted = [equals("status", "scheduled"), in_lanes([lane["id"] for lane in lanes])]
    told: dict[str, Row] = {lane["id"]: {**lane, "waiting": []} for lane in lanes}
    for row in await past.select(DEPLOYMENTS, wanted, limit=WAITING_SHOWN) if lanes else ():
        told[row["lane_id"]]["waiting"].append({k: row[k] for k in answers.Waiting.model_fields})
    return list(told.values())


@queue.get("/v1/lanes/current", action="lane.read", answer=list[models.DeploymentObject], takes=TAKEN, gives=LISTED)
async def list_live(call: Call, query: models.ListLive) -> Answer:
    """List the deployments that are live, one a lane; a page of lanes may hold fewer of them than lanes.

    With `valid_at` they are those that were live then, one a lane and environment, by what is known now or was known
    `as_of` another moment.
    """
    then = None if query.valid_at is None else await resolve_moment(call, query.valid_at)
    past, lanes, link = await page_of(call, query, {"valid_at": moment(then)} if then else {})
    live = [lane["live"]["deployment_id"] for lane in lanes if lane["live"]]
    if then:
        live = [one["deployment_id"] for one in await live_at(past, then, [lane["id"] for lane in lanes])]
    rows = await past.select(DEPLOYMENTS, [one_of("key", live)])
    return answer(await call.app.render(call.caller.organisation, rows), headers=past.headers() | link)


@queue.post("/v1/lanes/release", action="lane.release", answer=answers.LaneObject, raises=(NotFound,))
async def release_hold(call: Call, body: models.ReleaseHoldBody) -> Answer:
    """Let automatic deployments go on after a rollback."""
    done = await execute(call, commands.release_hold, commands.ReleaseHold(body.taxonomy(), body.reason))
    present = await reading(call)
    return answer((await with_waiting(present, await present.select(LANES, [equals("key", done.resource)])))[0])


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
    command = commands.ClaimDeployment(lanes, body.runner, lease_seconds(call, body), body.override, fences_above(call))
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
    until = call.app.executor.clock() + timedelta(seconds=lease_seconds(call, body))
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
