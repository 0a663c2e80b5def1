"""A token of Rollbook's own: issued once, revoked once; the log holds its hash alone."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Clash


class Token(BaseAggregate[UUID]):
    """Decides when a token ends."""

    TOPIC = "token"

    class Event(AggregateEvent):
        """Something that happened to a token."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Issued(Event, AggregateCreated):
        """It was made. `sha256` is the hash of 256 random bits, in hexadecimal; `expires_at` is in ISO 8601."""

        TOPIC = "token.issued"
        organisation: str
        name: str
        role: str
        scope: list[str] | None
        expires_at: str | None
        sha256: str
        owner: str

    class Revoked(Event):
        """It is no longer accepted."""

        TOPIC = "token.revoked"

    @classmethod
    def issue(cls, token_id: UUID, at: datetime, **facts: Any) -> "Token":
        """A new token."""
        return cls._create(cls.Issued, id=token_id, timestamp=at, **facts)

    def revoke(self, at: datetime) -> None:
        """Ends it; refused the second time."""
        if self.revoked:
            raise Clash("The token is revoked already")
        self.trigger_event(self.Revoked, timestamp=at)

    def __init__(self, organisation: str) -> None:
        self.organisation = organisation
        self.revoked = False


@singledispatch
def evolve(event: AggregateEvent, token: Token) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Token.Revoked, token: Token) -> None:
    token.revoked = True
