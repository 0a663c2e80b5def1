"""Writes an event of the log for subscribers: a line of JSON, and a server-sent event around it."""

import re
from typing import Any

import orjson

from domain.recorded import RecordedEvent

WHEN_AND_WHO = re.compile(rb',"occurred_at":"([^"\\]*)","actor":\{"id":"([^"\\]*)"')
# Payloads that hold keys of rows, and where; who may not read rows is told the rest.
KEYED: dict[str, tuple[str, ...]] = {"data_deployment.deployed": (), "job.completed": ("result", "deployed")}


class Told:
    """One event as some subscribers may see it."""

    __slots__ = ("event", "line", "mark")

    def __init__(self, event: RecordedEvent, mark: str, epoch: int, rows: bool) -> None:
        """`mark` is what follows a position where a position alone does not say which epoch it is of."""
        self.event = event
        self.mark = mark
        self.line = line_of(event, epoch, rows)

    @property
    def sent(self) -> bytes:
        """The event as the stream of events in HTML has it."""
        event = self.event
        return b"id: %d%s\nevent: %s\ndata: %s\n\n" % (
            event.position,
            self.mark.encode(),
            event.topic.encode(),
            self.line,
        )


def line_of(event: RecordedEvent, epoch: int, rows: bool) -> bytes:
    """The event in JSON, on one line, its payload as it was written."""
    occurred_at, actor = circumstances(event.envelope_bytes)
    payload = event.payload if rows or event.topic not in KEYED else without_keys(event)
    facts = {
        "position": event.position,
        "commit_position": event.commit_position,
        "epoch": epoch,
        "event_id": event.event_id,
        "topic": event.topic,
        "schema_version": event.schema_version,
        "stream": event.stream_id,
        "version": event.version,
        "organisation": event.organisation,
        "sequence": event.sequence,
        "occurred_at": occurred_at,
        "recorded_at": event.recorded_at,
        "actor": actor,
        "payload": orjson.Fragment(payload),
        "previous_hash": event.previous_hash.hex(),
        "hash": event.hash.hex(),
    }
    return orjson.dumps(facts, option=orjson.OPT_UTC_Z)


def circumstances(envelope: bytes) -> tuple[str, str]:
    """When it happened, as told, and the actor's pseudonym."""
    # Within a text a quote has a backslash before it, so that no text can look like this.
    if found := WHEN_AND_WHO.search(envelope):
        return found[1].decode(), found[2].decode()
    parsed = orjson.loads(envelope)
    return parsed["occurred_at"], parsed["actor"]["id"]


def without_keys(event: RecordedEvent) -> bytes:
    """The payload without the keys of rows, and without the digest of them all: of a few keys it could be guessed."""
    data = orjson.loads(event.payload)
    place: Any = data
    for name in KEYED[event.topic]:
        place = place.get(name) if isinstance(place, dict) else None
    if isinstance(place, dict):
        for name in ("keys", "kept"):
            place.pop(name, None)
    return orjson.dumps(data)


class Piece:
    """What a subscriber gets at once: whole commits up to `until`, of them the events that it wants."""

    __slots__ = ("_sent", "told", "until")

    def __init__(self, until: int, told: list[Told]) -> None:
        self.until = until
        self.told = told
        self._sent: bytes | None = None

    @property
    def sent(self) -> bytes:
        """All of it as server-sent events, put together once for all who want the same."""
        if self._sent is None:
            self._sent = b"".join([one.sent for one in self.told])
        return self._sent


class Teller:
    """Makes pieces of events of the log, in one epoch."""

    def __init__(self, epoch: int, mark: str) -> None:
        self.epoch = epoch
        self.mark = mark

    def told(self, event: RecordedEvent, rows: bool) -> Told:
        """One event, with keys of rows or without."""
        return Told(event, self.mark, self.epoch, rows)
