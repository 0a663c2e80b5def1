"""What is sent: an event as CloudEvents 1.0 in structured JSON, with what the feed says of it."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson

from adapters.feed.telling import line_of
from domain.recorded import RecordedEvent

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
PING = "rollbook.webhook.ping"


def body_of(event: RecordedEvent, epoch: int) -> bytes:
    """An event of the log."""
    told = {
        **around(event.organisation, f"rollbook.{event.topic}", event.event_id, event.recorded_at),
        "subject": event.stream_id,
        "dataschema": f"urn:rollbook:{quote(event.topic, safe='')}:{event.schema_version}",
        "sequence": str(event.sequence),
        "data": orjson.Fragment(line_of(event, epoch, rows=True)),
    }
    if traceparent := (event.envelope.get("cause") or {}).get("traceparent"):
        told["traceparent"] = traceparent
    return orjson.dumps(told)


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
