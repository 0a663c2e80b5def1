"""Exports of the record as its keepers list them: who took which part of it out, and when."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment


class AuditExports:
    """One row an export. `requested_by` is a pseudonym."""

    name: ClassVar[str] = "audit_exports"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("audit_export",)
    columns: ClassVar[Mapping[str, str]] = {"created_position": "bigint"}
    indexes: ClassVar[Mapping[str, str]] = {"newest": "btree (organisation, created_position desc)"}

    def key(self, event: RecordedEvent) -> str | None:
        """Exports are keyed by their own id."""
        return event.stream_id[13:] if event.stream_id.startswith("audit_export-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Requested makes the row, and nothing changes it."""
        told = {name: value for name, value in data.items() if name != "organisation"}
        at = {"created_at": moment(event.recorded_at), "created_position": event.position}
        return {"id": event.stream_id[13:], **told, **at}
