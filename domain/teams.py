"""Whose each component is: the teams of an organisation, for figures by team."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

TEAMS = UUID("5c0a7f0e-94a1-5b7e-8a43-6f2d9c1b7e04")


class Teams(BaseAggregate[UUID]):
    """Holds which components each team looks after; a component may belong to several."""

    TOPIC = "teams"

    class Event(AggregateEvent):
        """Something that happened to an organisation's teams."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Opened(Event, AggregateCreated):
        """The organisation names its first teams."""

        TOPIC = "teams.opened"
        organisation: str

    class Set(Event):
        """These teams, with the names of their components, replace all that were known."""

        TOPIC = "teams.set"
        teams: dict[str, list[str]]

    @staticmethod
    def id_of(organisation: str) -> UUID:
        """Where an organisation's teams stand."""
        return uuid5(TEAMS, organisation)

    @classmethod
    def open(cls, organisation: str, at: datetime) -> "Teams":
        """An organisation's teams, none yet."""
        return cls._create(cls.Opened, id=cls.id_of(organisation), timestamp=at, organisation=organisation)

    def set(self, teams: dict[str, list[str]], at: datetime) -> None:
        """Replaces the teams; the same ones again change nothing."""
        if teams != self.teams:
            self.trigger_event(self.Set, timestamp=at, teams=teams)

    def __init__(self, organisation: str) -> None:
        self.organisation = organisation
        self.teams: dict[str, list[str]] = {}


@singledispatch
def evolve(event: AggregateEvent, teams: Teams) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Teams.Set, teams: Teams) -> None:
    teams.teams = event.teams
