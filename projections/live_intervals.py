"""When deployments were live, as far as is known: from when each went live, or really did, until it no longer was."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from domain.taxonomy import Taxonomy
from projections.live import place_of
from projections.read_model import Row, moment

ENDS = frozenset(
    f"deployment.{status}"
    for status in ("started", "claimed", "failed", "skipped", "cancelled", "rolled_back", "rescheduled")
)


class LiveIntervals:
    """One row a deployment. `stretches` are when it was live: `since` and `until` (null while it is), in valid time.

    `valid_from` and `live_position` are of the newest stretch, `first_from` is of the oldest; null for who never was
    live. `again` is whether there are several. What is replaced by something newer does not end by that.
    """

    name: ClassVar[str] = "live_intervals"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("deployment",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "place": "uuid",
        "lane_id": "uuid",
        "valid_from": "timestamptz",
        "live_position": "bigint",
        "first_from": "timestamptz",
        "again": "boolean",
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "newest": "btree (place, valid_from desc, live_position desc) where valid_from is not null",
        "again": "btree (organisation, place, first_from) where again",
        "filed": "btree (organisation, fork)",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Keyed by the deployment's own id."""
        return event.stream_id[11:] if event.stream_id.startswith("deployment-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Deployed begins a stretch, whatever else becomes of it ends it, corrected says when it really began."""
        if event.topic == "deployment.scheduled":
            return scheduled(event, data)
        if row is None:
            raise ValueError(f"{event.topic} before deployment.scheduled")
        stretches = after(row["stretches"], event, data)
        return row if stretches is None else {**row, "stretches": stretches, **bounds(stretches)}


def scheduled(event: RecordedEvent, data: dict[str, Any]) -> Row:
    """It was never live so far."""
    lane_id = str(Taxonomy(**data["taxonomy"]).lane_id(event.organisation))
    environment, version = data["release"]["environment"], data["release"]["version"]
    return {
        "deployment_id": event.stream_id[11:],
        "organisation": event.organisation,
        "lane_id": lane_id,
        "environment": environment,
        "place": place_of(lane_id, environment),
        "version": version,
        "trigger": data["trigger"],
        "number": data["number"],
        "stretches": [],
        **bounds([]),
        "created_position": event.position,
    }


def after(stretches: list[Row], event: RecordedEvent, data: dict[str, Any]) -> list[Row] | None:
    """The stretches after an event; None when it leaves them as they are."""
    last, at = stretches[-1] if stretches else None, moment(event.occurred_at)
    match event.topic:
        case "deployment.deployed":
            begun = {"since": at, "until": None, "position": event.commit_position}
            return [*ended(stretches, at), begun]
        case "deployment.corrected" if last:
            return [*stretches[:-1], {**last, "since": data["went_live_at"]}]
        case topic if topic in ENDS and last and last["until"] is None:
            return ended(stretches, at)
    return None


def ended(stretches: list[Row], at: str) -> list[Row]:
    """The last one ends, unless it has."""
    last = stretches[-1:]
    return [*stretches[:-1], *({**one, "until": one["until"] or at} for one in last)]


def bounds(stretches: list[Row]) -> Row:
    """What rows are found by. A stretch that a correction has moved behind its own end never was."""
    real = [one for one in stretches if one["until"] is None or one["since"] < one["until"]]
    newest = max(real, key=began, default=None)
    return {
        "valid_from": newest and newest["since"],
        "live_position": newest and newest["position"],
        "first_from": min((one["since"] for one in real), default=None),
        "again": len(real) > 1,
    }


def began(stretch: Row) -> tuple[str, int]:
    """By what stretches follow each other: all are written alike, in UTC."""
    return stretch["since"], stretch["position"]


def live_at(rows: list[Row], at: str) -> Row | None:
    """What was live at a moment, of all that there was in one lane and environment: who went live last, if still."""
    begun = [(began(one), one["until"], row) for row in rows for one in row["stretches"] if real_by(one, at)]
    if not begun:
        return None
    (since, _), until, row = max(begun, key=lambda told: told[0])
    return None if until is not None and until <= at else {**told_of(row), "since": since}


def real_by(stretch: Row, at: str) -> bool:
    """Whether it had begun, and ever was."""
    return stretch["since"] <= at and (stretch["until"] is None or stretch["since"] < stretch["until"])


def told_of(row: Row) -> Row:
    """What is told of a deployment that was live."""
    names = ("deployment_id", "lane_id", "environment", "version", "trigger", "number", "created_position")
    return {name: row[name] for name in names}
