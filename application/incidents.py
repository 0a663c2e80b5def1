"""Incidents: reporting them, linking the deployments that caused or mended them, ending them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from application.execution import Work
from domain.data_deployment import DataDeployment
from domain.deployment import Deployment
from domain.errors import NotFound
from domain.incident import Incident, Relation


@dataclass(frozen=True, slots=True)
class Link:
    """A deployment of any interface, and what it has to do with an incident."""

    deployment_id: UUID
    relation: Relation


@dataclass(frozen=True, slots=True)
class ReportIncident:
    """Something is, or was, broken."""

    title: str
    began_at: datetime
    reference: str | None = None
    links: Sequence[Link] = ()
    incident_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class LinkDeployment:
    """Name a deployment that caused or mended an incident."""

    incident_id: UUID
    link: Link


@dataclass(frozen=True, slots=True)
class UnlinkDeployment:
    """Take that back."""

    incident_id: UUID
    link: Link
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ResolveIncident:
    """Users are served again since a moment, or since now."""

    incident_id: UUID
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReopenIncident:
    """It was not over."""

    incident_id: UUID
    reason: str | None = None


async def report_incident(work: Work, command: ReportIncident) -> str:
    """Answers the new incident's id."""
    await check_deployments(work, command.links)
    facts = {"title": command.title, "reference": command.reference, "reported_by": work.actor}
    incident = Incident.report(command.incident_id, command.began_at, work.now, organisation=work.organisation, **facts)
    work.add(incident)
    for link in command.links:
        incident.link(str(link.deployment_id), link.relation, work.now)
    return str(incident.id)


async def link_deployment(work: Work, command: LinkDeployment) -> str:
    """Answers the incident's id."""
    incident = await load_incident(work, command.incident_id)
    await check_deployments(work, [command.link])
    incident.link(str(command.link.deployment_id), command.link.relation, work.now)
    return str(incident.id)


async def unlink_deployment(work: Work, command: UnlinkDeployment) -> str:
    """Answers the incident's id."""
    incident = await load_incident(work, command.incident_id)
    incident.unlink(str(command.link.deployment_id), command.link.relation, command.reason, work.now)
    return str(incident.id)


async def resolve_incident(work: Work, command: ResolveIncident) -> str:
    """Answers the incident's id."""
    incident = await load_incident(work, command.incident_id)
    incident.resolve(command.ended_at or work.now, work.now)
    return str(incident.id)


async def reopen_incident(work: Work, command: ReopenIncident) -> str:
    """Answers the incident's id."""
    incident = await load_incident(work, command.incident_id)
    incident.reopen(command.reason, work.now)
    return str(incident.id)


async def load_incident(work: Work, incident_id: UUID) -> Incident:
    """The incident, or NotFound."""
    if incident := await work.load(Incident, incident_id):
        return incident
    raise NotFound("Incident not found")


async def check_deployments(work: Work, links: Sequence[Link]) -> None:
    """NotFound unless every deployment is one of the organisation's, whichever interface made it."""
    wanted = {link.deployment_id for link in links}
    missing = wanted - (await work.load_all(Deployment, sorted(wanted))).keys() if wanted else wanted
    missing -= (await work.load_all(DataDeployment, sorted(missing))).keys() if missing else missing
    if missing:
        raise NotFound("Deployment not found")
