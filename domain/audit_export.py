"""An export of the record: who took which part of it out."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate


class AuditExport(BaseAggregate[UUID]):
    """Nothing is decided about an export but that it is on record before its first byte."""

    TOPIC = "audit_export"

    class Event(AggregateEvent):
        """Something that happened to an export."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Requested(Event, AggregateCreated):
        """Somebody takes out the events behind `from_position` up to `to_position` that `filters` let through.

        `kind` is "events" or "bundle".
        """

        TOPIC = "audit_export.requested"
        organisation: str
        kind: str
        from_position: int
        to_position: int
        filters: dict[str, Any]
        requested_by: str

    @classmethod
    def request(cls, export_id: UUID, at: datetime, **facts: Any) -> "AuditExport":
        """A new export."""
        return cls._create(cls.Requested, id=export_id, timestamp=at, **facts)

    def __init__(
        self, organisation: str, kind: str, from_position: int, to_position: int, filters: dict[str, Any]
    ) -> None:
        self.organisation = organisation
        self.kind = kind
        self.from_position = from_position
        self.to_position = to_position
        self.filters = filters


@singledispatch
def evolve(event: AggregateEvent, export: AuditExport) -> None:
    """Nothing comes after the first event."""
