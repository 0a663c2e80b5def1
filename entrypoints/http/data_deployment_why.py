"""Why the rows of a package are in an environment, or are not."""

from typing import Any

from pydantic import BaseModel

from domain.errors import NotFound
from domain.recorded import RecordedEvent
from entrypoints.http import why_models
from entrypoints.http.data_deployment_answers import PATH, PREFIX, WORDS, find_deployment, parse_deployment_id
from entrypoints.http.data_deployment_models import DeploymentStatus
from entrypoints.http.package_answers import utc
from entrypoints.http.packages import packages
from entrypoints.http.queue_models import AsOf
from entrypoints.http.reading import SHOWN, TAKEN, Reading, reading
from entrypoints.http.routing import Answer, Call, answer
from entrypoints.http.why import Past, past_of
from projections.read_model import Row
from projections.registry import JOBS
from projections.why_data import chain, concerned, jobs_in, verdict

TIMES = ("at", "recorded_at")


class RowsReason(BaseModel):
    """One reason."""

    kind: str
    words: str
    refers_to: why_models.Reference | None


class RowsVerdict(BaseModel):
    """In which state it is, and why."""

    state: str
    reasons: list[RowsReason]


class WhyDeployed(BaseModel):
    """The events from the package and the job to where a deployment stands, and why it stands there."""

    id: str
    package: str
    version: str
    environment: str
    status: DeploymentStatus
    verdict: RowsVerdict
    chain: list[why_models.Link]


@packages.get(
    f"{PATH}/{{deployment_id}}/why",
    action="deployment.read",
    answer=WhyDeployed,
    raises=(NotFound,),
    takes=TAKEN,
    gives=SHOWN,
)
async def why_data_deployment(call: Call, deployment_id: str, query: AsOf) -> Answer:
    """Tell why the rows of a package are there, or are not: package, signer, job, tries, what it replaced."""
    shown = await reading(call, query.as_of)
    row = await find_deployment(shown, parse_deployment_id(deployment_id))
    return answer(await explained(shown, await past_of(call, shown, query.as_of), row), headers=shown.headers())


async def explained(shown: Reading, past: Past, row: Row) -> dict[str, Any]:
    """The chain and the verdict."""
    own = f"data_deployment-{row['id']}"
    events = await events_of(past, row, own)
    people = {event.envelope["actor"]["id"] for event in events} | {row["rolled_back_by"]}
    names = await past.call.app.people.logins_of(past.organisation, people)
    last = max((e for e in events if e.stream_id == own), key=lambda e: e.position)
    found = verdict(in_utc(row), in_utc(await past.row(JOBS, row["id"])), names[last.envelope["actor"]["id"]], names)
    links = [{**one, **{time: utc(one[time]) for time in TIMES}} for one in chain(events, own, names)]
    head = {name: row[name] for name in ("package", "version", "environment")}
    return {"id": f"{PREFIX}{row['id']}", **head, "status": WORDS[row["status"]], "verdict": found, "chain": links}


def in_utc(row: Row | None) -> Row:
    """Moments as this interface writes them."""
    moments = ("due_at", "rolled_back_at")
    return {name: utc(value) if name in moments else value for name, value in (row or {}).items()}


async def events_of(past: Past, row: Row, own: str) -> list[RecordedEvent]:
    """Its own, those that came with them, and all of its jobs and of how its package came to be."""
    chains, organisation = past.call.app.chains, past.organisation
    mine = await chains.streams(organisation, [own], past.position)
    beside = concerned(await chains.commits(organisation, [event.commit_position for event in mine]))
    streams = [*jobs_in(beside), f"package-{row['package_id']}"]
    more = await chains.streams(organisation, streams, past.position)
    return [*mine, *beside, *more]
