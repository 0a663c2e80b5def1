"""What an event of the log says, looked up in its raw bytes."""

import json
from typing import Any

Event = dict[str, Any]
Document = dict[str, Any]


def at(event: Event) -> str:
    """When an event was recorded, as read models write it."""
    return str(event["told"]["recorded_at"]).replace("Z", "+00:00")


def said(event: Event) -> Any:
    """What an event says of its own."""
    return json.loads(event["payload"])


def own_id(event: Event) -> str:
    """The id in the name of an event's stream."""
    return str(event["stream_id"].partition("-")[2])


def last(events: list[Event], *topics: str) -> Event | None:
    """The newest event of these topics."""
    return next((e for e in reversed(events) if e["topic"] in topics), None)


def newest(events: list[Event], *topics: str) -> Event:
    """The newest event of these topics, of which there is one."""
    found = last(events, *topics)
    assert found is not None, topics
    return found


def lane_of(scheduled: Event, log: list[Event]) -> str:
    """The lane that was opened for this taxonomy."""
    wanted = (scheduled["organisation"], said(scheduled)["taxonomy"])
    opened = (e for e in log if e["topic"] == "lane.opened")
    return next(own_id(e) for e in opened if (e["organisation"], said(e)["taxonomy"]) == wanted)
