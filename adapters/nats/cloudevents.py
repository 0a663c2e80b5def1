"""Writes an event of the log as a NATS message: CloudEvents 1.0 in binary mode, the payload's exact bytes as data."""

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from adapters.nats.source import StoredEvent
from adapters.nats.subjects import subject

# JetStream refuses headers beyond 64 KiB; what is left is for all the others.
LARGEST_ENVELOPE = 32 * 1024
_UNSAFE = re.compile(r"[^\x21\x23\x24\x26-\x7e]")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is published; `position` is that of its event, `head` its headers as they go over the wire."""

    position: int
    commit_position: int
    subject: str
    payload: bytes
    headers: dict[str, str]
    head: bytes

    @property
    def size(self) -> int:
        """Bytes that it takes of the server's max_payload, with room for the sequence that is added later."""
        return len(self.payload) + len(self.head) + 64


def message(event: StoredEvent, store: str, epoch: int) -> Message:
    """The message for an event of the store with this id and epoch."""
    headers = _cloud_event(event) | _own(event) | _cause(event) | _envelope(event)
    headers["rollbook-store"] = store
    headers["rollbook-epoch"] = str(epoch)
    to = subject(event.organisation, event.topic)
    return Message(event.position, event.commit_position, to, event.payload, headers, header_lines(headers))


def header_lines(headers: dict[str, str]) -> bytes:
    """Headers as they go over the wire."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("ascii")


def _cloud_event(event: StoredEvent) -> dict[str, str]:
    event_id = str(event.event_id)
    return {
        "Nats-Msg-Id": event_id,
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-source": source_of(event.organisation),
        "ce-type": header_value(f"rollbook.{event.topic}"),
        "ce-subject": header_value(event.stream_id),
        "ce-time": time_of(event.recorded_at),
        "ce-dataschema": _schema(event.topic, event.schema_version),
        "ce-datacontenttype": "application/json",
        "content-type": "application/json",
        "ce-sequence": str(event.sequence),
    }


def _own(event: StoredEvent) -> dict[str, str]:
    return {
        "rollbook-position": str(event.position),
        "rollbook-commit-position": str(event.commit_position),
        "rollbook-organisation": header_value(event.organisation),
        "rollbook-sequence": str(event.sequence),
        "rollbook-stream": header_value(event.stream_id),
        "rollbook-version": str(event.version),
        "rollbook-topic": header_value(event.topic),
        "rollbook-schema-version": str(event.schema_version),
        "rollbook-occurred-at": time_of(event.occurred_at),
        "rollbook-previous-hash": event.previous_hash.hex(),
        "rollbook-hash": event.hash.hex(),
    }


def _cause(event: StoredEvent) -> dict[str, str]:
    """Where the trace and the chain of causes go on; absent facts have no header."""
    facts = event.envelope.get("cause") or {}
    found = {name: header_value(str(facts[name])) for name in _CAUSES if facts.get(name)}
    headers = {_CAUSES[name]: value for name, value in found.items()}
    if "traceparent" in found:
        headers["ce-traceparent"] = found["traceparent"]
    return headers


_CAUSES = {
    "traceparent": "traceparent",
    "correlation_id": "rollbook-correlation-id",
    "causation_id": "rollbook-causation-id",
}


def _envelope(event: StoredEvent) -> dict[str, str]:
    """The envelope's exact bytes in base64; when they do not fit, only how many there are."""
    if len(event.envelope_bytes) > LARGEST_ENVELOPE:
        return {"rollbook-envelope-bytes": str(len(event.envelope_bytes))}
    return {"rollbook-envelope": b64encode(event.envelope_bytes).decode()}


def header_value(text: str) -> str:
    """Percent-encodes what the CloudEvents HTTP binding does not let stand in a header: all but printable ASCII
    without space, double quote and percent."""
    return _UNSAFE.sub(_percent, text)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode())


def time_of(moment: datetime) -> str:
    """A moment as headers tell it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=4096)
def source_of(organisation: str) -> str:
    """Where events of this organisation come from."""
    return header_value(f"/organisations/{quote(organisation, safe='')}")


@lru_cache(maxsize=4096)
def _schema(topic: str, version: int) -> str:
    return header_value(f"urn:rollbook:{quote(topic, safe='')}:{version}")
