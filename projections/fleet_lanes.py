"""Lanes as the fleet shows them: what is live and what runs in each environment, and how often the lane changed."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.lanes import moved
from projections.read_model import Row, moment

EMPTY: Row = {"live": None, "in_progress": [], "previous": []}
# Rows stay small: what ran before this many others, and environments that changed longest ago, are left out.
BEFORE = 3
RUNNING = 50
ENVIRONMENTS = 64


class FleetLanes:
    """One row a lane, and a version of it for each event of the lane: `changes` is the number of these so far."""

    name: ClassVar[str] = "fleet_lanes"
    version: ClassVar[int] = 1
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
        # Whether a version was valid is seen in the index: most that are filed on the way to a position were not.
        "filed": "btree (organisation, fork, from_position, to_position)"
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Lanes are keyed by their own id."""
        return event.stream_id[5:] if event.stream_id.startswith("lane-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Opened makes the row; everything after counts, also what changes nothing that is shown."""
        if event.topic == "lane.opened":
            return opened(event, data)
        if row is None:
            raise ValueError(f"{event.topic} before lane.opened")
        changed = {**row, "changes": event.version}
        match event.topic:
            case "lane.deployment_moved":
                changed["environments"] = placed(row["environments"], data["entry"], moment(event.recorded_at))
            case "lane.held":
                changed["held"] = data["hold"]
            case "lane.released":
                changed["held"] = None
        return changed


def opened(event: RecordedEvent, data: dict[str, Any]) -> Row:
    """A lane in which nothing has happened yet."""
    return {
        "id": event.stream_id[5:],
        **data["taxonomy"],
        "held": None,
        "environments": {},
        "changes": event.version,
        "created_position": event.position,
    }


def placed(environments: Row, entry: dict[str, Any], at: str) -> Row:
    """All environments of a lane after one of its deployments changed its status; the one that changed comes last."""
    where = entry["environment"]
    standing = moved(environments.get(where, EMPTY), entry, at)
    standing |= {"in_progress": standing["in_progress"][-RUNNING:], "previous": standing["previous"][:BEFORE]}
    others = {name: one for name, one in environments.items() if name != where}
    return {**dict(islice(others.items(), max(0, len(others) + 1 - ENVIRONMENTS), None)), where: standing}
