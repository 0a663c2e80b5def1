"""Incidents: reported, linked to the deployments that caused or mended them, resolved, reopened."""

from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.postgres.conditions import beyond, equals, one_of
from application import incidents as commands
from application.execution import Handler
from domain.errors import Clash, Invalid, NotFound
from entrypoints.http import incident_models as models
from entrypoints.http.commands import execute
from entrypoints.http.errors import problem_details
from entrypoints.http.headers import LINK
from entrypoints.http.ids import parse_id
from entrypoints.http.paging import cursor_of, next_link
from entrypoints.http.reading import SHOWN, TAKEN, Reading, reading
from entrypoints.http.routing import Answer, Call, Interface, answer
from projections.read_model import Row
from projections.registry import INCIDENT_LINKS, INCIDENTS

incidents = Interface("incidents", "/v1/incidents", problem_details)
PATH = "/v1/incidents"
ONE = f"{PATH}/{{incident_id}}"
OF_PACKAGES = "deploy-"
INTERNAL = ("created_position", "organisation")
EARLIEST, LATEST = 1970, 9998
SHOWN_OF_LINK = tuple(models.LinkObject.model_fields)


@incidents.post(
    PATH, action="incident.report", answer=models.IncidentObject, status=201, raises=(NotFound, Invalid), gives=SHOWN
)
async def report_incident(call: Call, body: models.ReportBody) -> Answer:
    """Report that something is, or was, broken; `deployments` are those that caused or mended it."""
    links = [link_of(one) for one in body.deployments]
    command = commands.ReportIncident(body.title, tellable(body.began_at, "began_at"), body.reference, links)
    return await changed(call, commands.report_incident, command, 201)


def tellable(moment: datetime, called: str) -> datetime:
    """A moment that every clock and database can tell; Invalid for others."""
    if not EARLIEST <= moment.year <= LATEST:
        raise Invalid(f"{called} must be between {EARLIEST} and {LATEST}")
    return moment


@incidents.get(
    PATH, action="incident.read", answer=list[models.IncidentObject], takes=TAKEN, gives=(*SHOWN, LINK), raises=()
)
async def list_incidents(call: Call, query: models.ListIncidents) -> Answer:
    """List incidents, newest first."""
    wanted = [] if query.resolved is None else [equals("resolved", query.resolved)]
    as_of = query.as_of
    if query.cursor:
        shown, after = cursor_of(call, query.cursor)
        as_of = str(shown)
        wanted.append(beyond("created_position", after, ascending=False))
    past = await reading(call, as_of)
    rows = await past.select(INCIDENTS, wanted, limit=query.limit)
    full = len(rows) == query.limit > 0
    link = {"link": next_link(call, past.position, rows[-1]["created_position"])} if full else {}
    return answer(await as_users_know_them(call, past, rows), headers=past.headers() | link)


@incidents.get(ONE, action="incident.read", answer=models.IncidentObject, takes=TAKEN, gives=SHOWN, raises=(NotFound,))
async def show_incident(call: Call, incident_id: str, query: models.ShowIncident) -> Answer:
    """Show one incident with its deployments."""
    past = await reading(call, query.as_of)
    return answer(await find(call, past, incident_of(incident_id)), headers=past.headers())


@incidents.post(f"{ONE}/links", action="incident.link", answer=models.IncidentObject, raises=(NotFound,), gives=SHOWN)
async def link_deployment(call: Call, incident_id: str, body: models.LinkBody) -> Answer:
    """Link a deployment that caused the incident, or mended it; figures of the past are restated."""
    command = commands.LinkDeployment(incident_of(incident_id), link_of(body))
    return await changed(call, commands.link_deployment, command)


@incidents.post(f"{ONE}/unlink", action="incident.link", answer=models.IncidentObject, raises=(NotFound,), gives=SHOWN)
async def unlink_deployment(call: Call, incident_id: str, body: models.UnlinkBody) -> Answer:
    """Take back that a deployment caused the incident, or mended it."""
    command = commands.UnlinkDeployment(incident_of(incident_id), link_of(body), body.reason)
    return await changed(call, commands.unlink_deployment, command)


@incidents.post(
    f"{ONE}/resolve",
    action="incident.resolve",
    answer=models.IncidentObject,
    raises=(NotFound, Clash, Invalid),
    gives=SHOWN,
)
async def resolve_incident(call: Call, incident_id: str, body: models.ResolveBody) -> Answer:
    """Say since when users are served again."""
    ended_at = None if body.ended_at is None else tellable(body.ended_at, "ended_at")
    command = commands.ResolveIncident(incident_of(incident_id), ended_at)
    return await changed(call, commands.resolve_incident, command)


@incidents.post(
    f"{ONE}/reopen", action="incident.resolve", answer=models.IncidentObject, raises=(NotFound, Clash), gives=SHOWN
)
async def reopen_incident(call: Call, incident_id: str, body: models.ReopenBody) -> Answer:
    """Say that it was not over."""
    command = commands.ReopenIncident(incident_of(incident_id), body.reason)
    return await changed(call, commands.reopen_incident, command)


def incident_of(text: str) -> UUID:
    """An incident's id, or NotFound."""
    return parse_id(text, "", "Incident")


def link_of(body: models.LinkBody) -> commands.Link:
    """A link, to a deployment by the id that either interface shows; NotFound when it cannot be one."""
    prefix = OF_PACKAGES if body.deployment_id.startswith(OF_PACKAGES) else ""
    return commands.Link(parse_id(body.deployment_id, prefix, "Deployment"), body.relation)


async def changed(call: Call, handler: Handler, command: Any, status: int = 200) -> Answer:
    """Runs the command, and shows the incident as it is then; for a repeat as it was the first time."""
    done = await execute(call, handler, command, status)
    present = await reading(call, str(done.position) if done.repeated else None)
    return answer(await find(call, present, UUID(done.resource)), status, present.headers())


async def find(call: Call, past: Reading, incident_id: UUID) -> dict[str, Any]:
    """The incident, or NotFound."""
    rows = await past.select(INCIDENTS, [equals("key", str(incident_id))], order="key")
    if not rows:
        raise NotFound("Incident not found")
    return (await as_users_know_them(call, past, rows))[0]


async def as_users_know_them(call: Call, past: Reading, rows: list[Row]) -> list[dict[str, Any]]:
    """Incidents with their deployments, and with logins in the place of pseudonyms."""
    wanted = [one_of("incident_id", [row["id"] for row in rows]), equals("linked", True)]
    links = await past.select(INCIDENT_LINKS, wanted, order="created_position") if rows else []
    people = {row["reported_by"] for row in rows} | {link["changed_by"] for link in links}
    names = await call.app.people.logins_of(call.caller.organisation, people)
    told: dict[str, list[Row]] = {row["id"]: [] for row in rows}
    for link in links:
        shown = {name: link[name] for name in SHOWN_OF_LINK}
        told[link["incident_id"]].append({**shown, "changed_by": names[link["changed_by"]]})
    return [as_users_know_it(row, names, told[row["id"]]) for row in rows]


def as_users_know_it(row: Row, names: dict[str, str], links: list[Row]) -> dict[str, Any]:
    """One incident."""
    shown = {name: value for name, value in row.items() if name not in INTERNAL}
    return {**shown, "reported_by": names[row["reported_by"]], "deployments": links}
