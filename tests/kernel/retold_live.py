"""A second opinion on what is live and was: told anew from the raw bytes of the log."""

from datetime import datetime
from itertools import zip_longest
from uuid import UUID, uuid5

from tests.kernel.log_words import Document, Event, at, lane_of, own_id, said

MOVES = ("started", "claimed", "deployed", "failed", "skipped", "cancelled", "rolled_back", "rescheduled")


def place(event: Event) -> str | None:
    """The lane and environment that something moved in."""
    if event["topic"] != "lane.deployment_moved":
        return None
    return str(uuid5(UUID(own_id(event)), said(event)["entry"]["environment"]))


def live_there(events: list[Event], _: list[Event]) -> Document:
    """Of a lane's moves in one environment: the last that went live there, and since when, unless it left after."""
    entries = [(said(event)["entry"], at(event)) for event in events]
    live: Document | None = None
    changed = False
    for entry, since in entries:
        left = live is not None and live["deployment_id"] == entry["deployment_id"] and entry["status"] != "deployed"
        enters = entry["status"] == "deployed" and (live is None or live["deployment_id"] != entry["deployment_id"])
        if left or enters:
            told = {n: entry[n] for n in ("deployment_id", "version", "trigger", "number")}
            live, changed = (told | {"since": since} if enters else None), True
    return {
        "id": place(events[0]),
        "organisation": events[0]["organisation"],
        "lane_id": own_id(events[0]),
        "environment": entries[0][0]["environment"],
        "live": live,
        "changed": changed,
        "created_position": events[0]["position"],
    }


def stretches(events: list[Event], log: list[Event]) -> Document:
    """When a deployment was live: each time from when it went live, or really did, to what became of it next."""
    first = said(events[0])
    moves = [e for e in events if e["topic"].removeprefix("deployment.") in MOVES]
    told: list[Document] = []
    for event, after in zip_longest(moves, moves[1:]):
        if event["topic"] == "deployment.deployed":
            until = after and occurred(after)
            told.append({"since": occurred(event), "until": until, "position": event["commit_position"]})
    for event in (e for e in events if e["topic"] == "deployment.corrected"):
        before = [s for s in told if s["position"] <= event["position"]]
        before[-1]["since"] = said(event)["went_live_at"]
    real = sorted((s for s in told if s["until"] is None or s["since"] < s["until"]), key=in_valid_time)
    lane_id, environment = lane_of(events[0], log), first["release"]["environment"]
    return {
        "deployment_id": own_id(events[0]),
        "organisation": events[0]["organisation"],
        "lane_id": lane_id,
        "environment": environment,
        "place": str(uuid5(UUID(lane_id), environment)),
        "version": first["release"]["version"],
        "trigger": first["trigger"],
        "number": first["number"],
        "stretches": told,
        "valid_from": real[-1]["since"] if real else None,
        "live_position": real[-1]["position"] if real else None,
        "first_from": real[0]["since"] if real else None,
        "again": len(real) > 1,
        "created_position": events[0]["position"],
    }


def in_valid_time(stretch: Document) -> tuple[str, int]:
    """By what stretches follow each other."""
    return stretch["since"], stretch["position"]


def occurred(event: Event) -> str:
    """When it happened, as told."""
    return datetime.fromisoformat(event["told"]["occurred_at"]).isoformat(timespec="microseconds")
