"""Environments as their organisation lists them: one row a name, also while it stands for nothing."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import STILL, Row, moment


class EnvironmentList:
    """One row a name. Both `dsn` are references to secrets; `created_by` and `updated_by` are pseudonyms."""

    name: ClassVar[str] = "environments"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("environment",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "name": 'text collate "C"',
        "kind": 'text collate "C"',
        "active": "boolean",
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "named": "btree (organisation, name)",
        "named_live": f"btree (organisation, name) where to_position = {STILL} and active",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Environments are keyed by their stream's id."""
        return event.stream_id[12:] if event.stream_id.startswith("environment-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Opened makes the row; added and removed say whether it stands for something."""
        if event.topic == "environment.opened":
            empty = dict.fromkeys(("kind", "dsn", "reader_dsn", "created_at", "created_by"))
            return {**empty, **data, "active": False, "created_position": event.position}
        if row is None:
            raise ValueError(f"{event.topic} before environment.opened")
        by, at = event.envelope["actor"]["id"], moment(event.recorded_at)
        changed = {**row, **data, "updated_at": at, "updated_by": by}
        if event.topic == "environment.added":
            return {**changed, "active": True, "created_at": at, "created_by": by}
        return {**changed, "active": event.topic != "environment.removed"}
