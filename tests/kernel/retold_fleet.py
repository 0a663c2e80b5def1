"""Lanes of the fleet, told anew: who is live where is who went live there last, unless it has left since."""

from tests.kernel.log_words import Document, Event, at, last, own_id, said

SEEN = ("deployment_id", "version", "environment", "trigger")


def lane(events: list[Event], _: list[Event]) -> Document:
    """A lane, each environment told from the moves there alone."""
    held = last(events, "lane.held", "lane.released")
    moves = [e for e in events if e["topic"] == "lane.deployment_moved"]
    return {
        **said(events[0])["taxonomy"],
        "id": own_id(events[0]),
        "held": said(held)["hold"] if held and held["topic"] == "lane.held" else None,
        "environments": {e: standing([m for m in moves if place(m) == e]) for e in sorted({*map(place, moves)})},
        "changes": len(events),
        "created_position": events[0]["position"],
    }


def place(move: Event) -> str:
    """The environment of a move."""
    environment: str = said(move)["entry"]["environment"]
    return environment


def standing(moves: list[Event]) -> Document:
    """What is live, what runs, and the last three that were live before."""
    live: Document | None = None
    gone: list[Document] = []
    running: dict[str, Document] = {}
    for move in moves:
        entry = said(move)["entry"]
        seen = {name: entry[name] for name in SEEN} | {"since": at(move)}
        who, status = entry["deployment_id"], entry["status"]
        running.pop(who, None)
        if status == "in_progress":
            running[who] = seen
        is_live = live is not None and live["deployment_id"] == who
        if live and is_live != (status == "deployed"):
            gone.insert(0, live)
        live = seen if status == "deployed" else None if is_live else live
    return {"live": live, "in_progress": list(running.values()), "previous": gone[:3]}
