"""Commands for incidents: report one, link the deployments that caused or mended it, end it."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from entrypoints.cli.changes import offset_time
from entrypoints.cli.failures import misuse
from entrypoints.cli.fields import AsOf, WhyNot
from entrypoints.cli.output import moment, print_record, print_table, word
from entrypoints.cli.session import Session, command, filled, group, part, query

PATH = "/v1/incidents"
HEADINGS = ("ID", "BEGAN", "ENDED", "TITLE", "REFERENCE", "CAUSED BY", "FIXED BY")
TIMES = ("began_at", "ended_at", "created_at", "updated_at")

commands = group()
incident = group()
commands.add_typer(incident, name="incident", help="Incidents, and the deployments behind them.")


class Relation(StrEnum):
    """What a deployment has to do with an incident."""

    CAUSED = "caused"
    FIXED = "fixed"


Id = Annotated[str, typer.Argument(metavar="ID", help="An incident's id.")]
Deployment = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="A deployment's id.")]
As = Annotated[Relation, typer.Option("--relation", help="What it has to do with the incident.")]
CausedBy = Annotated[list[str] | None, typer.Option(metavar="ID", help="A deployment; may be given several times.")]
Limit = Annotated[int, typer.Option(min=0, max=1000, help="How many at most.")]


@incident.callback()
def incidents() -> None:
    """Incidents, and the deployments behind them."""


@incident.command("report")
@command
def report(
    session: Session,
    title: Annotated[str, typer.Argument(help="What is, or was, broken.")],
    began: Annotated[str, typer.Option(help="Since when (ISO 8601 with an offset).")],
    reference: Annotated[str | None, typer.Option(help="Its name in another tool.")] = None,
    caused_by: CausedBy = None,
    fixed_by: CausedBy = None,
) -> None:
    """Report an incident, also one that is over.

    Example: rollbook incident report "Checkout is down" --began 2026-10-02T13:58:00Z --caused-by DEPLOYMENT
    """
    links = [{"deployment_id": one, "relation": "caused"} for one in caused_by or ()]
    links += [{"deployment_id": one, "relation": "fixed"} for one in fixed_by or ()]
    body = {"title": title, "began_at": offset_time(began), "deployments": links} | filled(reference=reference)
    session.answer(session.api.send("POST", PATH, body).body, tell)


@incident.command("list")
@command
def listed(
    session: Session,
    opened: Annotated[bool, typer.Option("--open", help="Only those that go on.")] = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="Only those that are over.")] = False,
    limit: Limit = 100,
    as_of: AsOf = None,
) -> None:
    """List incidents, newest first.

    Example: rollbook incident list --open
    """
    if opened and resolved:
        raise misuse("Give --open or --resolved, not both")
    which = resolved if opened or resolved else None
    reply = session.api.get(PATH, query(resolved=which, limit=limit, as_of=as_of))
    session.answer(reply.body, lambda found: print_table(HEADINGS, [row_of(one) for one in found]))


@incident.command("show")
@command
def show(session: Session, incident_id: Id, as_of: AsOf = None) -> None:
    """Show an incident with its deployments, now or as it was known then."""
    session.answer(session.api.get(f"{PATH}/{part(incident_id)}", query(as_of=as_of)).body, tell)


@incident.command("link")
@command
def link(session: Session, incident_id: Id, deployment: Deployment, relation: As = Relation.CAUSED) -> None:
    """Link a deployment that caused the incident, or fixed it; figures of the past are restated.

    Example: rollbook incident link INCIDENT DEPLOYMENT --relation fixed
    """
    body = {"deployment_id": deployment, "relation": relation.value}
    session.answer(session.api.send("POST", f"{PATH}/{part(incident_id)}/links", body).body, tell)


@incident.command("unlink")
@command
def unlink(
    session: Session, incident_id: Id, deployment: Deployment, relation: As = Relation.CAUSED, reason: WhyNot = None
) -> None:
    """Take back that a deployment caused the incident, or fixed it."""
    body = {"deployment_id": deployment, "relation": relation.value} | filled(reason=reason)
    session.answer(session.api.send("POST", f"{PATH}/{part(incident_id)}/unlink", body).body, tell)


@incident.command("resolve")
@command
def resolve(
    session: Session,
    incident_id: Id,
    ended: Annotated[str | None, typer.Option(help="Since when users are served again; else since now.")] = None,
) -> None:
    """Say that users are served again.

    Example: rollbook incident resolve INCIDENT --ended 2026-10-02T14:21:00Z
    """
    body = filled(ended_at=offset_time(ended))
    session.answer(session.api.send("POST", f"{PATH}/{part(incident_id)}/resolve", body).body, tell)


@incident.command("reopen")
@command
def reopen(session: Session, incident_id: Id, reason: WhyNot = None) -> None:
    """Say that it was not over."""
    body = filled(reason=reason)
    session.answer(session.api.send("POST", f"{PATH}/{part(incident_id)}/reopen", body).body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints an incident's fields, without those that are empty."""
    links = {f"{relation.value} by": related(body, relation) or None for relation in Relation}
    told = {name: value for name, value in (body | links).items() if value is not None and name != "deployments"}
    print_record({name: moment(value) if name in TIMES else value for name, value in told.items()})


def row_of(body: dict[str, Any]) -> list[str]:
    """An incident as a row under HEADINGS."""
    told = [word(body.get(name)) for name in ("title", "reference")]
    began, ended = moment(body["began_at"]), moment(body.get("ended_at"))
    return [word(body["id"]), began, ended, *told, *(related(body, relation) for relation in Relation)]


def related(body: dict[str, Any], relation: Relation) -> str:
    """The deployments that are so related to it."""
    return " ".join(word(d["deployment_id"]) for d in body["deployments"] if d["relation"] == relation)
