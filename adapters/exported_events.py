"""Reads events as they were exported: a JSON object a line, with the exact text of payload and envelope, and at last
one that counts them."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from adapters.postgres import codec
from domain.errors import Invalid
from domain.recorded import RecordedEvent

Told = tuple[RecordedEvent, Any]
LONGEST_LINE = 4 * 1024 * 1024


def told(lines: Iterable[str | bytes]) -> Iterator[Told]:
    """Each event with that of the domain which it holds; Invalid, with the line's number, for what is none."""
    for number, recorded in numbered(lines):
        yield recorded, of_the_domain(f"Line {number}", recorded)


def of_the_domain(called: str, recorded: RecordedEvent) -> Any:
    """The event of the domain; Invalid where this release has none like it."""
    try:
        return decoded(recorded)
    except codec.UnknownEvent as newer:
        raise Invalid(f"{called} is of a newer release: {newer}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Invalid(f"{called} is not an event of this release") from None


def numbered(lines: Iterable[str | bytes]) -> Iterator[tuple[int, RecordedEvent]]:
    """Each event with the number of its line; Invalid where the last line does not count them."""
    counted, said = 0, None
    for number, line in enumerate(lines, 1):
        if line.strip():
            found = parsed(number, line)
            if (said := found.get("events")) is None:
                counted += 1
                yield number, recorded_of(number, found)
    if said != counted:
        raise Invalid(f"The export is cut off: it has {counted} events, and its last line counts {said or 'none'}")


def parsed(number: int, line: str | bytes) -> dict[str, Any]:
    """The object in a line."""
    if len(line) > LONGEST_LINE:
        raise Invalid(f"Line {number} is longer than any event")
    try:
        found = orjson.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Invalid(f"Line {number} is not a JSON object")
    return found


def recorded_of(number: int, line: dict[str, Any]) -> RecordedEvent:
    """The event as it stands in the log, by its envelope."""
    try:
        return sealed(line, orjson.loads(line["envelope"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Invalid(f"Line {number} is not an exported event") from None


def sealed(line: dict[str, Any], envelope: dict[str, Any]) -> RecordedEvent:
    """What the envelope says, with the texts that were hashed."""
    return RecordedEvent(
        position=int(envelope["position"]),
        commit_position=int(envelope["commit_position"]),
        event_id=UUID(envelope["event_id"]),
        stream_id=str(envelope["stream_id"]),
        version=int(envelope["version"]),
        topic=str(envelope["topic"]),
        schema_version=int(envelope["schema_version"]),
        organisation=str(envelope["organisation"]),
        sequence=int(envelope["sequence"]),
        recorded_at=datetime.fromisoformat(envelope["recorded_at"]),
        payload=line["payload"].encode(),
        envelope_bytes=line["envelope"].encode(),
        previous_hash=bytes.fromhex(line["previous_hash"]),
        hash=bytes.fromhex(line["hash"]),
    )


def decoded(event: RecordedEvent) -> Any:
    """The event of the domain."""
    owner = UUID(event.stream_id.partition("-")[2])
    return codec.decode(event.topic, event.schema_version, event.payload, owner, event.version, event.recorded_at)
