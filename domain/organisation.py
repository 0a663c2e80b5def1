"""An organisation: whose its name is, bound when it is first seen and rebound by an administrator."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Forbidden

ORGANISATIONS = UUID("3e7d0f52-6a0b-5e0c-9a57-5d1f0c6a8e05")


class Organisation(BaseAggregate[UUID]):
    """Decides who may come under an organisation's name.

    An owner is GitHub's number of the account, or the issuer that vouches for the name where it is not GitHub's.
    """

    TOPIC = "organisation"

    class Event(AggregateEvent):
        """Something that happened to an organisation."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Opened(Event, AggregateCreated):
        """The organisation was seen for the first time."""

        TOPIC = "organisation.opened"
        organisation: str

    class OwnerBound(Event):
        """The name belongs to this owner: the first who came."""

        TOPIC = "organisation.owner_bound"
        owner: str

    class OwnerRebound(Event):
        """An administrator gave the name to this owner. `previous` is None when nobody had it."""

        TOPIC = "organisation.owner_rebound"
        owner: str
        previous: str | None
        reason: str

    class PersonErased(Event):
        """A person's key was destroyed: nobody can tell any more whose pseudonym this is."""

        TOPIC = "organisation.person_erased"
        person: str

    class Erased(Event):
        """The organisation's key was destroyed: nobody in it can be named any more. `reason` is as it was told."""

        TOPIC = "organisation.erased"
        reason: str

    @staticmethod
    def id_of(organisation: str) -> UUID:
        """Where an organisation's own facts stand."""
        return uuid5(ORGANISATIONS, organisation)

    @classmethod
    def open(cls, organisation: str, at: datetime) -> "Organisation":
        """An organisation that belongs to nobody yet."""
        return cls._create(cls.Opened, id=cls.id_of(organisation), timestamp=at, organisation=organisation)

    def bind(self, owner: str, at: datetime) -> None:
        """Gives the name to whoever comes first; Forbidden for everybody else."""
        if self.owner is None:
            self.trigger_event(self.OwnerBound, timestamp=at, owner=owner)
        elif self.owner != owner:
            raise another_owner(self.organisation)

    def rebind(self, owner: str, reason: str, at: datetime) -> None:
        """Gives the name to another owner; nothing happens when it has it already."""
        if self.owner != owner:
            facts = {"owner": owner, "previous": self.owner, "reason": reason}
            self.trigger_event(self.OwnerRebound, timestamp=at, **facts)

    def erase(self, person: str, at: datetime) -> None:
        """Has it on record that a person is forgotten."""
        self.trigger_event(self.PersonErased, timestamp=at, person=person)

    def erase_all(self, reason: str, at: datetime) -> None:
        """Has it on record that everybody is forgotten; a repeat changes nothing."""
        if not self.erased:
            self.trigger_event(self.Erased, timestamp=at, reason=reason)

    def __init__(self, organisation: str) -> None:
        self.organisation = organisation
        self.owner: str | None = None
        self.erased = False


@singledispatch
def evolve(event: AggregateEvent, organisation: Organisation) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Organisation.OwnerBound, organisation: Organisation) -> None:
    organisation.owner = event.owner


@evolve.register
def _(event: Organisation.OwnerRebound, organisation: Organisation) -> None:
    organisation.owner = event.owner


@evolve.register
def _(event: Organisation.Erased, organisation: Organisation) -> None:
    organisation.erased = True


def another_owner(organisation: str) -> Forbidden:
    """The refusal of whoever comes under a name that is somebody else's; it does not say whose."""
    return Forbidden(f"Organisation '{organisation}' belongs to another owner id; an administrator must rebind it")
