"""A webhook: who is told of what by HTTP. Its address and its secret are kept apart, as both may let somebody in."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Clash, Gone


class Webhook(BaseAggregate[UUID]):
    """Decides whether a subscription goes on. `host` is all of its address that the log holds."""

    TOPIC = "webhook"

    class Event(AggregateEvent):
        """Something that happened to a webhook."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Subscribed(Event, AggregateCreated):
        """Somebody wants to be told of the events that `filters` let through."""

        TOPIC = "webhook.subscribed"
        organisation: str
        name: str
        host: str
        filters: dict[str, list[str]]
        subscribed_by: str

    class Changed(Event):
        """It has another name, host or filters; only what changed is in `changes`."""

        TOPIC = "webhook.changed"
        changes: dict[str, Any]

    class SecretRotated(Event):
        """It signs with another secret from now on."""

        TOPIC = "webhook.secret_rotated"

    class Paused(Event):
        """Nothing is delivered for a while. `rule` is the one that decided it, None where somebody did."""

        TOPIC = "webhook.paused"
        reason: str | None
        rule: str | None

    class Resumed(Event):
        """Deliveries go on, with what has happened meanwhile."""

        TOPIC = "webhook.resumed"

    class Removed(Event):
        """The subscription has ended."""

        TOPIC = "webhook.removed"
        reason: str | None

    @classmethod
    def subscribe(cls, webhook_id: UUID, at: datetime, **facts: Any) -> "Webhook":
        """A new subscription."""
        return cls._create(cls.Subscribed, id=webhook_id, timestamp=at, **facts)

    def change(self, changes: dict[str, Any], at: datetime) -> None:
        """Changes what is named."""
        self.check_there()
        self.trigger_event(self.Changed, timestamp=at, changes=changes)

    def rotate_secret(self, at: datetime) -> None:
        """Has it on record that the secret is another one."""
        self.check_there()
        self.trigger_event(self.SecretRotated, timestamp=at)

    def pause(self, reason: str | None, at: datetime, rule: str | None = None) -> None:
        """Holds deliveries back; refused when they are held back already."""
        self.check_there()
        if self.paused:
            raise Clash("The webhook is paused already")
        self.trigger_event(self.Paused, timestamp=at, reason=reason, rule=rule)

    def resume(self, at: datetime) -> None:
        """Lets deliveries go on; refused when nothing holds them back."""
        self.check_there()
        if not self.paused:
            raise Clash("The webhook is not paused")
        self.trigger_event(self.Resumed, timestamp=at)

    def remove(self, reason: str | None, at: datetime) -> None:
        """Ends it for good."""
        self.check_there()
        self.trigger_event(self.Removed, timestamp=at, reason=reason)

    def check_there(self) -> None:
        """Refuses what comes after the end."""
        if self.removed:
            raise Gone("The webhook was removed")

    def __init__(self, organisation: str) -> None:
        self.organisation = organisation
        self.paused = False
        self.removed = False


@singledispatch
def evolve(event: AggregateEvent, webhook: Webhook) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Webhook.Paused, webhook: Webhook) -> None:
    webhook.paused = True


@evolve.register
def _(event: Webhook.Resumed, webhook: Webhook) -> None:
    webhook.paused = False


@evolve.register
def _(event: Webhook.Removed, webhook: Webhook) -> None:
    webhook.removed = True
