"""The freezes of an organisation: while one covers a lane, nothing new starts there."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import NotFound
from domain.taxonomy import Taxonomy

FREEZES = UUID("0b1c5b52-8f0b-5c8e-8d5e-1f3d6f1f1c02")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a freeze covers: everything that agrees with each field that is set."""

    name: str | None = None
    provider: str | None = None
    cloud_account_id: str | None = None
    region: str | None = None
    cell: str | None = None
    environment: str | None = None

    def covers(self, taxonomy: Taxonomy, environment: str) -> bool:
        """Whether a lane's deployment to this environment is covered."""
        facts = asdict(taxonomy) | {"environment": environment}
        return all(wanted is None or facts[name] == wanted for name, wanted in asdict(self).items())


@dataclass(frozen=True, slots=True)
class Freeze:
    """One freeze. `by` is a pseudonym; `until` an ISO 8601 moment in UTC, or None until it is lifted."""

    id: str
    scope: Scope
    reason: str
    until: str | None
    by: str


class Freezes(BaseAggregate[UUID]):
    """Declares freezes and lifts them; knows which are in force."""

    TOPIC = "freezes"

    class Event(AggregateEvent):
        """Something that happened to an organisation's freezes."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Opened(Event, AggregateCreated):
        """The organisation declares its first freeze."""

        TOPIC = "freezes.opened"
        organisation: str

    class Declared(Event):
        """Nothing new may start in this scope."""

        TOPIC = "freezes.declared"
        freeze: Freeze

    class Lifted(Event):
        """Somebody ended a freeze before its time."""

        TOPIC = "freezes.lifted"
        freeze_id: str
        reason: str | None

    @staticmethod
    def id_of(organisation: str) -> UUID:
        """Where an organisation's freezes stand."""
        return uuid5(FREEZES, organisation)

    @classmethod
    def open(cls, organisation: str, at: datetime) -> "Freezes":
        """An organisation's freezes, none yet."""
        return cls._create(cls.Opened, id=cls.id_of(organisation), timestamp=at, organisation=organisation)

    def declare(self, freeze: Freeze, at: datetime) -> None:
        """Puts a freeze in force."""
        self.trigger_event(self.Declared, timestamp=at, freeze=freeze)

    def lift(self, freeze_id: str, reason: str | None, at: datetime) -> None:
        """Ends a freeze; NotFound when it is not in force."""
        if freeze_id not in self.declared:
            raise NotFound("Freeze not found")
        self.trigger_event(self.Lifted, timestamp=at, freeze_id=freeze_id, reason=reason)

    def covering(self, taxonomy: Taxonomy, environment: str, now: datetime) -> Freeze | None:
        """The freeze that keeps this from starting now, if any."""
        return first_covering(self.declared.values(), taxonomy, environment, now)

    def __init__(self, organisation: str) -> None:
        self.organisation = organisation
        self.declared: dict[str, Freeze] = {}


@singledispatch
def evolve(event: AggregateEvent, freezes: Freezes) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Freezes.Declared, freezes: Freezes) -> None:
    freezes.declared[event.freeze.id] = event.freeze


@evolve.register
def _(event: Freezes.Lifted, freezes: Freezes) -> None:
    freezes.declared.pop(event.freeze_id, None)


def in_force(freeze: Freeze, now: datetime) -> bool:
    """Whether its time has not run out."""
    return freeze.until is None or datetime.fromisoformat(freeze.until) > now


def first_covering(freezes: Iterable[Freeze], taxonomy: Taxonomy, environment: str, now: datetime) -> Freeze | None:
    """The first of these freezes that keeps this from starting now, if any."""
    return next((f for f in freezes if in_force(f, now) and f.scope.covers(taxonomy, environment)), None)
