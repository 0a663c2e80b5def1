"""Corrections: when a deployment really went live, and what was believed before somebody said so."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from application.corrections import CorrectDeployment, correct_deployment
from application.deployments import parse_id
from domain.errors import Clash, Invalid, NotFound
from domain.recorded import RecordedEvent
from entrypoints.http.commands import execute
from entrypoints.http.deployments import queue
from entrypoints.http.fields import AsOf, Lenient, Moment
from entrypoints.http.headers import POSITION
from entrypoints.http.reading import SHOWN, TAKEN, reading
from entrypoints.http.routing import Answer, Call, answer
from projections.read_model import moment

PATH = "/v1/deployments/{deployment_id}/corrections"
FIRST_YEAR = 1970


class CorrectionBody(Lenient):
    """When it really went live, and how that is known."""

    went_live_at: Moment = Field(description=f"From {FIRST_YEAR} on, and not in the future")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class CorrectionObject(BaseModel):
    """A correction; `believed_before` is what `went_live_at` was until then."""

    deployment_id: str
    went_live_at: datetime
    believed_before: datetime
    reason: str
    actor: str
    recorded_at: datetime
    position: int


@queue.post(
    PATH,
    action="deployment.correct",
    answer=CorrectionObject,
    status=201,
    raises=(NotFound, Clash, Invalid),
    gives=(POSITION,),
)
async def correct(call: Call, deployment_id: str, body: CorrectionBody) -> Answer:
    """Say when a deployment really went live: `valid_at` answers by that from then on."""
    if body.went_live_at.year < FIRST_YEAR:
        raise Invalid(f"went_live_at is before {FIRST_YEAR}")
    command = CorrectDeployment(deployment_id, body.went_live_at, body.reason)
    done = await execute(call, correct_deployment, command, 201)
    events = await call.app.store.history(call.caller.organisation, f"deployment-{done.resource}")
    then = corrections([event for event in events if event.commit_position <= done.position])
    told = await with_logins(call, then[-1:])
    return answer(told[0], 201, {"x-rollbook-position": str(done.position)})


@queue.get(
    PATH,
    action="deployment.read",
    answer=list[CorrectionObject],
    raises=(NotFound,),
    takes=TAKEN,
    gives=SHOWN,
)
async def list_corrections(call: Call, deployment_id: str, query: AsOf) -> Answer:
    """List the corrections of a deployment, oldest first, each with what was believed before it."""
    past = await reading(call, query.as_of)
    if not (events := await past.events(f"deployment-{parse_id(deployment_id)}")):
        raise NotFound("Deployment not found")
    return answer(await with_logins(call, corrections(events)), headers=past.headers())


def corrections(events: Sequence[RecordedEvent]) -> list[dict[str, Any]]:
    """The corrections among a deployment's events; `actor` is a pseudonym."""
    found, believed = [], None
    for event in events:
        if event.topic == "deployment.deployed":
            believed = moment(event.occurred_at.astimezone(UTC))
        if event.topic == "deployment.corrected":
            found.append(correction(event, believed))
            believed = event.data["went_live_at"]
    return found


def correction(event: RecordedEvent, believed: str | None) -> dict[str, Any]:
    """One of them."""
    return {
        "deployment_id": event.stream_id[11:],
        "went_live_at": event.data["went_live_at"],
        "believed_before": believed,
        "reason": event.data["reason"],
        "actor": event.envelope["actor"]["id"],
        "recorded_at": moment(event.recorded_at),
        "position": event.position,
    }


async def with_logins(call: Call, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Logins in the place of pseudonyms."""
    names = await call.app.people.logins_of(call.caller.organisation, {one["actor"] for one in told})
    return [{**one, "actor": names[one["actor"]]} for one in told]
