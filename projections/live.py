"""What is live in every lane and environment: one row for both, whose versions are the changes of that alone."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID, uuid5

from domain.recorded import RecordedEvent
from projections.read_model import STILL, Row, moment


@lru_cache(maxsize=20_000)
def place_of(lane_id: str, environment: str) -> str:
    """Names a lane and an environment at once; a name of fixed length, however long that of the environment is."""
    return str(uuid5(UUID(lane_id), environment))


class Live:
    """One row a lane and environment, from the first deployment that queued there.

    `changed` is whether this version of the row began because something else went live, or nothing was any more.
    """

    name: ClassVar[str] = "live"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("lane",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "lane_id": "uuid",
        "environment": 'text collate "C"',
        "changed": "boolean",
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "filed": "btree (organisation, fork)",
        "newest_live": f"btree (organisation, created_position desc) where to_position = {STILL}",
        "environment": "btree (organisation, environment, from_position desc) where changed",
        "lane": "btree (lane_id, from_position desc) where changed",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Keyed by lane and environment; all that moves there is told by the stream of the lane."""
        if event.topic != "lane.deployment_moved":
            return None
        return place_of(event.stream_id[5:], event.data["entry"]["environment"])

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Who went live last is live, unless it has left since; another move changes nothing here."""
        entry = data["entry"]
        row = row or begun(event, entry)
        before = row["live"] and row["live"]["deployment_id"]
        is_live, was_live = entry["status"] == "deployed", before == entry["deployment_id"]
        if is_live == was_live:
            return row
        return {**row, "live": seen(entry, moment(event.recorded_at)) if is_live else None, "changed": True}


def begun(event: RecordedEvent, entry: dict[str, Any]) -> Row:
    """Nothing is live yet."""
    return {
        "id": place_of(event.stream_id[5:], entry["environment"]),
        "organisation": event.organisation,
        "lane_id": event.stream_id[5:],
        "environment": entry["environment"],
        "live": None,
        "changed": False,
        "created_position": event.position,
    }


def seen(entry: dict[str, Any], at: str) -> Row:
    """What is told of the deployment that is live."""
    return {name: entry[name] for name in ("deployment_id", "version", "trigger", "number")} | {"since": at}
