"""Lanes as their users see them: what is live, what runs, what ran before, what is held back."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment

REMEMBERED = 10


class Lanes:
    """One row a lane. What waits in it is asked of the deployments, since a queue may be long."""

    name: ClassVar[str] = "lanes"
    version: ClassVar[int] = 2
    aggregates: ClassVar[tuple[str, ...]] = ("lane",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "name": 'text collate "C"',
        "provider": 'text collate "C"',
        "cloud_account_id": 'text collate "C"',
        "region": 'text collate "C"',
        "cell": 'text collate "C"',
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "filed": "btree (organisation, fork)",
        "newest_live": f"btree (organisation, created_position desc) where to_position = {2**63 - 1}",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Lanes are keyed by their own id."""
        return event.stream_id[5:] if event.stream_id.startswith("lane-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Opened makes the row; what does not concern the live state leaves it as it is."""
        if event.topic == "lane.opened":
            return opened(event, data)
        if row is None:
            raise ValueError(f"{event.topic} before lane.opened")
        changed = row
        match event.topic:
            case "lane.deployment_moved":
                changed = moved(row, data["entry"], moment(event.recorded_at))
            case "lane.held":
                changed = {**row, "held": data["hold"]}
            case "lane.released":
                changed = {**row, "held": None}
        return row if changed == row else changed


def opened(event: RecordedEvent, data: dict[str, Any]) -> Row:
    """A lane in which nothing has happened yet."""
    return {
        "id": event.stream_id[5:],
        "organisation": event.organisation,
        **data["taxonomy"],
        "live": None,
        "in_progress": [],
        "previous": [],
        "held": None,
        "created_position": event.position,
    }


def moved(row: Row, entry: dict[str, Any], at: str) -> Row:
    """The lane after one of its deployments changed its status."""
    seen = {k: entry[k] for k in ("deployment_id", "version", "environment", "trigger")} | {"since": at}
    others = [d for d in row["in_progress"] if d["deployment_id"] != entry["deployment_id"]]
    live, previous = row["live"], row["previous"]
    if entry["status"] == "deployed":
        previous = (
            [live, *previous][:REMEMBERED] if live and live["deployment_id"] != entry["deployment_id"] else previous
        )
        live = seen
    elif live and live["deployment_id"] == entry["deployment_id"]:
        live, previous = None, [live, *previous][:REMEMBERED]
    running = [*others, seen] if entry["status"] == "in_progress" else others
    return {**row, "live": live, "in_progress": running, "previous": previous}
