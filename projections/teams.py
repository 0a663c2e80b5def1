"""An organisation's teams, as they are and as they were."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row


class TeamList:
    """One row an organisation: the names of their components by team."""

    name: ClassVar[str] = "teams"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("teams",)
    columns: ClassVar[Mapping[str, str]] = {"created_position": "bigint"}
    indexes: ClassVar[Mapping[str, str]] = {"newest": "btree (organisation, created_position desc)"}

    def key(self, event: RecordedEvent) -> str | None:
        """Teams are keyed by their stream's id."""
        return event.stream_id[6:] if event.stream_id.startswith("teams-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Opened makes the row, set replaces what it holds."""
        if event.topic == "teams.opened":
            return {"teams": {}, "created_position": event.position}
        if row is None:
            raise ValueError(f"{event.topic} before teams.opened")
        return {**row, "teams": data["teams"]}
