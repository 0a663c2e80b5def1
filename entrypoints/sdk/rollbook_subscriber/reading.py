"""Reads the feed over HTTP: server-sent events, block by block, from a place on."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

LARGEST_BLOCK = 16 * 1024 * 1024
CONNECT_SECONDS = 10.0
TRY_LATER = (408, 425, 429)
GONE = 410
THE_END = "the end"


class Refused(Exception):
    """The server says no, and asking again would not change that."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({code}, HTTP {status})")
        self.status = status
        self.code = code


class EpochChanged(Exception):
    """The store was restored from a backup, or is another one: what was built of its events may no longer be so.

    Remove what you built, call `forget`, and run again: it is built anew from the beginning.
    """


class Unreachable(Exception):
    """Nobody answers properly now; `after` is how many seconds to wait, where the server says so."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True)
class Event:
    """Something that happened. `facts` is all that the feed says of it, `payload` what the event itself says."""

    position: int
    commit_position: int
    event_id: str
    topic: str
    stream: str
    version: int
    organisation: str
    sequence: int
    occurred_at: str
    recorded_at: str
    actor: str
    payload: Mapping[str, Any]
    facts: Mapping[str, Any] = field(repr=False)


NAMES = tuple(name for name in Event.__dataclass_fields__ if name != "facts")


@dataclass(frozen=True)
class Block:
    """One block of the stream: where it leads, and the event if it has one, also as it was written. `ends` says that
    nothing more is to come."""

    place: str | None
    event: Event | None
    data: str | None
    ends: bool


def event_of(data: str) -> Event:
    """An event of its JSON."""
    facts = json.loads(data)
    return Event(**{name: facts[name] for name in NAMES}, facts=facts)


def block_of(raw: bytes) -> Block:
    """A block of its lines."""
    fields: dict[str, str] = {}
    for line in raw.decode().split("\n"):
        name, _, value = line.partition(":")
        fields[name or "comment"] = value.removeprefix(" ")
    data = fields.get("data")
    return Block(
        place=fields.get("id"),
        event=event_of(data) if data else None,
        data=data,
        ends=fields.get("comment", "").startswith(THE_END),
    )


def blocks(chunks: Iterator[bytes]) -> Iterator[list[Block]]:
    """The blocks that are complete, as they come; several at once where several came."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        if len(rest) > LARGEST_BLOCK:
            raise Unreachable("The answer is no feed of events")
        if whole:
            yield [block_of(one) for one in whole]


def check(response: httpx2.Response) -> None:
    """Returns when the feed answers; says otherwise why it does not."""
    if response.status_code == 200 and response.headers.get("content-type", "").startswith("text/event-stream"):
        return
    if response.status_code >= 500 or response.status_code in TRY_LATER:
        after = response.headers.get("retry-after", "")
        raise Unreachable(f"HTTP {response.status_code}", float(after) if after.isdecimal() else None)
    response.read()
    detail, code = told(response)
    if response.status_code == GONE:
        raise EpochChanged(detail)
    raise Refused(response.status_code, code, detail)


def told(response: httpx2.Response) -> tuple[str, str]:
    """What the server says, and its code."""
    try:
        body = response.json()
        return str(body["detail"]), str(body.get("code", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "The answer is no feed of events", response.headers.get("x-error-code", "")
