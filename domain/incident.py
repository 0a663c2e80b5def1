"""An incident: when something was broken, which deployments caused it, and which mended it."""

from datetime import UTC, datetime
from enum import StrEnum
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Clash, Invalid, NotFound


class Relation(StrEnum):
    """What a deployment has to do with an incident."""

    CAUSED = "caused"
    FIXED = "fixed"


class Incident(BaseAggregate[UUID]):
    """Decides how an incident goes on. Moments are in ISO 8601 in UTC; they may be told long after they were."""

    TOPIC = "incident"

    class Event(AggregateEvent):
        """Something that happened to an incident, or became known of it."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Reported(Event, AggregateCreated):
        """Something is, or was, broken. `reference` is its name in another tool; None where there is none."""

        TOPIC = "incident.reported"
        organisation: str
        title: str
        began_at: str
        reference: str | None
        reported_by: str

    class Linked(Event):
        """A deployment has to do with it."""

        TOPIC = "incident.linked"
        deployment_id: str
        relation: str

    class Unlinked(Event):
        """A deployment has nothing to do with it after all."""

        TOPIC = "incident.unlinked"
        deployment_id: str
        relation: str
        reason: str | None

    class Resolved(Event):
        """Users were served again from this moment on."""

        TOPIC = "incident.resolved"
        ended_at: str

    class Reopened(Event):
        """It was not over."""

        TOPIC = "incident.reopened"
        reason: str | None

    @classmethod
    def report(cls, incident_id: UUID, began_at: datetime, at: datetime, **facts: Any) -> "Incident":
        """A new incident; it cannot begin in the future."""
        if began_at > at:
            raise Invalid("began_at is in the future")
        return cls._create(cls.Reported, id=incident_id, timestamp=at, began_at=in_utc(began_at), **facts)

    def link(self, deployment_id: str, relation: Relation, at: datetime) -> None:
        """Names a deployment that caused or mended it; once is enough."""
        if (deployment_id, relation) not in self.links:
            facts = {"deployment_id": deployment_id, "relation": str(relation)}
            self.trigger_event(self.Linked, timestamp=at, **facts)

    def unlink(self, deployment_id: str, relation: Relation, reason: str | None, at: datetime) -> None:
        """Takes a link back; NotFound when there is none."""
        if (deployment_id, relation) not in self.links:
            raise NotFound("The deployment is not linked to this incident")
        facts = {"deployment_id": deployment_id, "relation": str(relation), "reason": reason}
        self.trigger_event(self.Unlinked, timestamp=at, **facts)

    def resolve(self, ended_at: datetime, at: datetime) -> None:
        """Ends it, between its beginning and now."""
        if self.ended:
            raise Clash("The incident is resolved already")
        if not self.began_at <= ended_at <= at:
            raise Invalid("ended_at must be between the incident's beginning and now")
        self.trigger_event(self.Resolved, timestamp=at, ended_at=in_utc(ended_at))

    def reopen(self, reason: str | None, at: datetime) -> None:
        """Takes its end back; refused while it goes on."""
        if not self.ended:
            raise Clash("The incident is not resolved")
        self.trigger_event(self.Reopened, timestamp=at, reason=reason)

    def __init__(self, organisation: str, began_at: str) -> None:
        self.organisation = organisation
        self.began_at = datetime.fromisoformat(began_at)
        self.ended = False
        self.links: set[tuple[str, str]] = set()


@singledispatch
def evolve(event: AggregateEvent, incident: Incident) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Incident.Linked, incident: Incident) -> None:
    incident.links.add((event.deployment_id, event.relation))


@evolve.register
def _(event: Incident.Unlinked, incident: Incident) -> None:
    incident.links.discard((event.deployment_id, event.relation))


@evolve.register
def _(event: Incident.Resolved, incident: Incident) -> None:
    incident.ended = True


@evolve.register
def _(event: Incident.Reopened, incident: Incident) -> None:
    incident.ended = False


def in_utc(moment: datetime) -> str:
    """As moments stand in events."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
