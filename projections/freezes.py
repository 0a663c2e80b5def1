"""Freezes as their users list them: one row each, also after it was lifted."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment


class FreezeList:
    """One row a freeze. `by` and `lifted_by` are pseudonyms."""

    name: ClassVar[str] = "freezes"
    version: ClassVar[int] = 2
    aggregates: ClassVar[tuple[str, ...]] = ("freezes",)
    columns: ClassVar[Mapping[str, str]] = {"created_position": "bigint"}
    indexes: ClassVar[Mapping[str, str]] = {"newest": "btree (organisation, created_position desc)"}

    def key(self, event: RecordedEvent) -> str | None:
        """Freezes are keyed by their own id, not by their organisation's stream."""
        match event.topic:
            case "freezes.declared":
                return str(event.data["freeze"]["id"])
            case "freezes.lifted":
                return str(event.data["freeze_id"])
        return None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Declared makes the row, lifted ends it."""
        at = moment(event.recorded_at)
        if event.topic == "freezes.declared":
            ended = {"lifted_at": None, "lifted_by": None, "lift_reason": None}
            return {**data["freeze"], **ended, "created_at": at, "created_position": event.position}
        if row is None:
            raise ValueError("freezes.lifted before freezes.declared")
        return {**row, "lifted_at": at, "lifted_by": event.envelope["actor"]["id"], "lift_reason": data["reason"]}
