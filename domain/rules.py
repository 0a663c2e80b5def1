"""The rules that an organisation sets itself; without any, everything is as lenient as the bare queue."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.freezes import Scope
from domain.status import Trigger
from domain.taxonomy import Taxonomy

RULES = UUID("7f0e2b1e-58c5-5a53-8c31-2a4f6f0b6d03")


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Manual deployments in `scope` need an approval by somebody whose token has all of `claims`."""

    scope: Scope = field(default_factory=Scope)
    claims: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Whoever comes with all of `claims` has `role`, whatever the token alone would give."""

    role: str
    claims: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HouseRules:
    """All rules of an organisation; the defaults ask for nothing."""

    approval: tuple[ApprovalRule, ...] = ()
    roles: tuple[RoleRule, ...] = ()
    strict_transitions: bool = False
    require_if_match: bool = False

    def approval_for(self, trigger: Trigger, taxonomy: Taxonomy, environment: str) -> ApprovalRule | None:
        """The rule that asks for an approval before this may be claimed, if any."""
        if trigger is not Trigger.MANUAL:
            return None
        return next((rule for rule in self.approval if rule.scope.covers(taxonomy, environment)), None)


class Rules(BaseAggregate[UUID]):
    """Holds the rules in force."""

    TOPIC = "rules"

    class Event(AggregateEvent):
        """Something that happened to an organisation's rules."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Opened(Event, AggregateCreated):
        """The organisation sets its first rules."""

        TOPIC = "rules.opened"
        organisation: str

    class Set(Event):
        """These rules replace all that were in force."""

        TOPIC = "rules.set"
        rules: HouseRules

    @staticmethod
    def id_of(organisation: str) -> UUID:
        """Where an organisation's rules stand."""
        return uuid5(RULES, organisation)

    @classmethod
    def open(cls, organisation: str, at: datetime) -> "Rules":
        """An organisation's rules: the lenient ones."""
        return cls._create(cls.Opened, id=cls.id_of(organisation), timestamp=at, organisation=organisation)

    def set(self, rules: HouseRules, at: datetime) -> None:
        """Replaces the rules."""
        self.trigger_event(self.Set, timestamp=at, rules=rules)

    def __init__(self, organisation: str) -> None:
        self.organisation = organisation
        self.rules = HouseRules()


@singledispatch
def evolve(event: AggregateEvent, rules: Rules) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Rules.Set, rules: Rules) -> None:
    rules.rules = event.rules
