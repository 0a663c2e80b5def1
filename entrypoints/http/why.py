"""Why a deployment is live or is not, and why this is what is live in a lane."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.postgres.chains import told
from adapters.postgres.conditions import equals, in_lanes
from application.deployments import parse_id
from domain.errors import NotFound
from domain.freezes import Freezes
from domain.rules import Rules
from entrypoints.http import queue_models as models
from entrypoints.http import why_models as answers
from entrypoints.http.deployments import queue
from entrypoints.http.naming import with_names
from entrypoints.http.reading import SHOWN, TAKEN, Reading, reading, resolve_reference
from entrypoints.http.routing import Answer, Call, answer
from projections.live import place_of
from projections.read_model import ReadModel, Row, moment
from projections.registry import DEPLOYMENTS, LANES, LIVE
from projections.verdict import Standing, reason, verdict
from projections.why import Story, chain, people_in

WAITING_SHOWN = 1000
PLACED = ("deployment_id", "version", "environment", "trigger", "since")


@dataclass(frozen=True, slots=True)
class Past:
    """One position of the caller's organisation, and the moment that belongs to it."""

    call: Call
    position: int
    now: datetime

    @property
    def organisation(self) -> str:
        """Whose."""
        return self.call.caller.organisation

    async def rows(self, model: ReadModel, *conditions: Any, limit: int | None = None) -> list[Row]:
        """What was so."""
        views = self.call.app.views
        page = await views.select(self.organisation, model, conditions, limit=limit, as_of=self.position)
        rows: list[Row] = page.rows
        return rows

    async def row(self, model: ReadModel, key: str) -> Row | None:
        """One row as it was."""
        return next(iter(await self.rows(model, equals("key", key))), None)


@queue.get(
    "/v1/deployments/{deployment_id}/why",
    action="deployment.read",
    answer=answers.Why,
    raises=(NotFound,),
    takes=TAKEN,
    gives=SHOWN,
)
async def why_deployment(call: Call, deployment_id: str, query: models.AsOf) -> Answer:
    """Tell why a deployment is live, or why it is not: the events that led there, and what stands in its way."""
    shown = await reading(call, query.as_of)
    rows = await shown.select(DEPLOYMENTS, [equals("key", str(parse_id(deployment_id)))], order="key")
    if not rows:
        raise NotFound("Deployment not found")
    told_of = await explained(await past_of(call, shown, query.as_of), rows[0])
    return answer(told_of, headers=shown.headers())


async def past_of(call: Call, shown: Reading, as_of: str | None) -> Past:
    """The position that is shown, with the moment that was asked for, else that of its last event."""
    if as_of is None:
        return Past(call, shown.position, call.app.executor.clock())
    asked = (await resolve_reference(call, as_of)).moment
    at = asked or await call.app.runs.moment_at(shown.position)
    return Past(call, shown.position, at or call.app.executor.clock())


async def explained(past: Past, row: Row) -> dict[str, Any]:
    """The chain and the verdict of one deployment."""
    story, standing = await read(past, row)
    found = verdict(standing)
    head = {name: row[name] for name in ("lane_id", "name", "version", "environment", "status")}
    links = chain(story, standing, [one["kind"] for one in found["reasons"]])
    return {"deployment_id": row["id"], **head, "verdict": found, "chain": links}


async def read(past: Past, row: Row) -> tuple[Story, Standing]:
    """What was recorded of it, and how everything stood around it."""
    lane, place = await past.row(LANES, row["lane_id"]), place_of(row["lane_id"], row["environment"])
    live = ((await past.row(LIVE, place)) or {}).get("live")
    story = await story_of(past, row, lane)
    rules = await with_names(past.call, story.rules_at(past.position))
    names = await past.call.app.people.logins_of(past.organisation, people_in(story) | {row["actor"]})
    last = story.last
    standing = Standing(row, lane, live, await waiting_in(past, row), story.freezes_at(past.position), rules, past.now)
    by, at = names[last.envelope["actor"]["id"]], moment(last.recorded_at)
    told_by = {"last": last.topic, "by": by, "at": at, "rollback": story.rollback, "names": names}
    return story, replace(standing, **told_by)


async def waiting_in(past: Past, row: Row) -> list[Row]:
    """What waits in the lane of a deployment that waits itself."""
    if row["status"] != "scheduled":
        return []
    return await past.rows(DEPLOYMENTS, equals("status", "scheduled"), in_lanes([row["lane_id"]]), limit=WAITING_SHOWN)


async def story_of(past: Past, row: Row, lane: Row | None) -> Story:
    """Its stream, those of the organisation's freezes and rules, and the commits that its events came with."""
    chains, own = past.call.app.chains, f"deployment-{row['id']}"
    freezes = f"freezes-{Freezes.id_of(past.organisation)}"
    rules = f"rules-{Rules.id_of(past.organisation)}"
    events = await chains.streams(past.organisation, [own, freezes, rules], past.position)
    mine = [event for event in events if event.stream_id == own]
    if not mine:
        raise NotFound("What became of this deployment is not here: a bundle tells of what its span touches")
    beside = await chains.commits(past.organisation, [event.commit_position for event in mine])
    others = [event for event in beside if event.stream_id != own]
    hold = await hold_of(past, row, lane)
    return Story(mine, others, told(events, freezes), told(events, rules), hold)


async def hold_of(past: Past, row: Row, lane: Row | None) -> list[Any]:
    """The commit that left the hold behind, where one may keep the deployment back."""
    if row["status"] != "scheduled" or not (lane and lane["held"]):
        return []
    chains, stream_id = past.call.app.chains, f"lane-{row['lane_id']}"
    held = await chains.last(past.organisation, stream_id, ["lane.held"], past.position)
    found: list[Any] = await chains.commits(past.organisation, [held.commit_position]) if held else []
    return found


@queue.get(
    "/v1/lanes/{lane_id}/why",
    action="lane.read",
    answer=answers.WhyLive,
    raises=(NotFound,),
    takes=TAKEN,
    gives=SHOWN,
)
async def why_lane(call: Call, lane_id: str, query: answers.LaneWhy) -> Answer:
    """Tell why this is live in a lane, and what was live before."""
    shown = await reading(call, query.as_of)
    rows = await shown.select(LANES, [equals("key", parse_lane_id(lane_id))], order="key")
    if not rows:
        raise NotFound("Lane not found")
    past = await past_of(call, shown, query.as_of)
    return answer(await explained_live(past, rows[0], query.environment), headers=shown.headers())


def parse_lane_id(lane_id: str) -> str:
    """Any text is a legal id; what is no UUID names no lane."""
    try:
        return str(UUID(lane_id))
    except ValueError:
        raise NotFound("Lane not found") from None


async def explained_live(past: Past, lane: Row, environment: str | None) -> dict[str, Any]:
    """Why it is live, or that nothing is."""
    latest: Row = lane["live"] or next(iter(lane["previous"]), {"environment": None})
    environment = environment or latest["environment"]
    head = {"lane_id": lane["id"], "environment": environment}
    place = await past.row(LIVE, place_of(lane["id"], environment)) if environment else None
    live: Row | None = place["live"] if place else None
    row = await past.row(DEPLOYMENTS, live["deployment_id"]) if live else None
    if not row or not live or not environment:
        words = f"Nothing is live in this lane{f' in {environment}' if environment else ''}"
        found: dict[str, Any] = {"state": "empty", "reasons": [reason("empty", words)]}
        return {**head, "live": None, "before": previous(lane, environment, None), "verdict": found, "chain": []}
    told_of = await explained(past, row)
    shown = {name: ({**live, "environment": environment})[name] for name in PLACED}
    why = {"verdict": told_of["verdict"], "chain": told_of["chain"]}
    return {**head, "live": shown, "before": await before(past, lane, environment, told_of), **why}


async def before(past: Past, lane: Row, environment: str, told_of: dict[str, Any]) -> Row | None:
    """What was live there just before it went live; where nothing was, what was live in the lane before that."""
    went_live = [e["position"] for e in told_of["chain"] if e["topic"] == "deployment.deployed"]
    then = replace(past, position=went_live[-1] - 1)
    was = ((await then.row(LIVE, place_of(lane["id"], environment))) or {}).get("live")
    if was and was["deployment_id"] != told_of["deployment_id"]:
        return {name: ({**was, "environment": environment})[name] for name in PLACED}
    return previous(lane, environment, told_of["deployment_id"])


def previous(lane: Row, environment: str | None, other_than: str | None) -> Row | None:
    """The last that was live in the environment, as far as the lane remembers."""
    found = (
        p for p in lane["previous"] if environment in (None, p["environment"]) and p["deployment_id"] != other_than
    )
    return next(found, None)
