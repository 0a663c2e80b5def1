"""What is sent: an event as CloudEvents 1.0 in structured JSON, its payload as the exact JSON that was hashed."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson

from domain.recorded import RecordedEvent

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
PING = "rollbook.webhook.ping"


def body_of(event: RecordedEvent) -> bytes:
    """An event of the log."""
    told = {
        **around(event.organisation, f"rollbook.{event.topic}", event.event_id, event.recorded_at),
        "subject": event.stream_id,
        "dataschema": f"urn:rollbook:{quote(event.topic, safe='')}:{event.schema_version}",
        "sequence": str(event.sequence),
        "data": data_of(event),
    }
    if traceparent := (event.envelope.get("cause") or {}).get("traceparent"):
        told["traceparent"] = traceparent
    return orjson.dumps(told)


def data_of(event: RecordedEvent) -> dict[str, Any]:
    """What the feed says of an event."""
    return {
        "position": event.position,
        "event_id": str(event.event_id),
        "topic": event.topic,
        "stream": event.stream_id,
        "version": event.version,
        "sequence": event.sequence,
        "organisation": event.organisation,
        "occurred_at": moment(event.occurred_at),
        "recorded_at": moment(event.recorded_at),
        "actor": (event.envelope.get("actor") or {}).get("id"),
        "payload": orjson.Fragment(event.payload),
        "hash": event.hash.hex(),
    }


def ping(organisation: str, webhook_id: str, ping_id: UUID, now: datetime) -> bytes:
    """What is no event, and only tries whether a receiver is there and checks signatures."""
    told = {**around(organisation, PING, ping_id, now), "data": {"webhook": webhook_id}}
    return orjson.dumps(told)


def around(organisation: str, kind: str, event_id: UUID, at: datetime) -> dict[str, Any]:
    """What CloudEvents asks of every event."""
    return {
        "specversion": "1.0",
        "id": str(event_id),
        "source": f"/organisations/{quote(organisation, safe='')}",
        "type": kind,
        "time": moment(at),
        "datacontenttype": "application/json",
    }


def moment(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
