"""What surrounds the events of the feed, as the AsyncAPI document describes it."""

from typing import Any

from adapters.nats.cdevents import TYPES, VERSION

TEXT = {"type": "string"}
MOMENT = {"type": "string", "format": "date-time"}
UUID = {"type": "string", "format": "uuid"}
NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 in hex"}
CLOUD_EVENT: dict[str, Any] = {
    "Nats-Msg-Id": {**UUID, "description": "Keeps repeats out"},
    "ce-specversion": {"const": "1.0", "description": "CloudEvents in binary mode"},
    "ce-id": UUID,
    "ce-source": {**TEXT, "examples": ["/organisations/acme"]},
    "ce-type": TEXT,
    "ce-subject": {**TEXT, "description": "The stream, or what it is about"},
    "ce-time": {**MOMENT, "description": "When it was recorded"},
    "content-type": {"const": "application/json"},
    "rollbook-position": {**NUMBER, "description": "Its place in the one order of all events"},
    "rollbook-store": {**UUID, "description": "Which log this is"},
    "rollbook-epoch": {**NUMBER, "description": "How often that log was restored: positions of another are no more"},
}
ALWAYS: dict[str, Any] = {
    "ce-dataschema": {**TEXT, "examples": ["urn:rollbook:deployment.scheduled:1"]},
    "ce-datacontenttype": {"const": "application/json"},
    "ce-sequence": NUMBER,
    "rollbook-commit-position": {**NUMBER, "description": "The last position of what was recorded with it at once"},
    "rollbook-organisation": TEXT,
    "rollbook-sequence": {**NUMBER, "description": "Counts the organisation's events without a gap"},
    "rollbook-stream": TEXT,
    "rollbook-version": {**NUMBER, "description": "Its place in its stream"},
    "rollbook-topic": TEXT,
    "rollbook-schema-version": NUMBER,
    "rollbook-occurred-at": MOMENT,
    "rollbook-previous-hash": HASH,
    "rollbook-hash": HASH,
}
SOMETIMES: dict[str, Any] = {
    "rollbook-envelope": {**TEXT, "description": "All around the payload as it was hashed, in base64"},
    "rollbook-envelope-bytes": {**NUMBER, "description": "Its size, where it is too large for a header"},
    "rollbook-correlation-id": TEXT,
    "rollbook-causation-id": TEXT,
    "traceparent": {**TEXT, "description": "The trace that it was recorded in"},
    "ce-traceparent": TEXT,
}
EVENT_HEADERS = {
    "type": "object",
    "properties": {**CLOUD_EVENT, **ALWAYS, **SOMETIMES},
    "required": [*CLOUD_EVENT, *ALWAYS],
}
TWIN_HEADERS = {"type": "object", "properties": CLOUD_EVENT, "required": list(CLOUD_EVENT)}
INTEGER = {"type": "integer", "minimum": 1}
TOLD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "position": INTEGER,
        "commit_position": INTEGER,
        "epoch": INTEGER,
        "event_id": UUID,
        "topic": TEXT,
        "schema_version": INTEGER,
        "stream": TEXT,
        "version": INTEGER,
        "organisation": TEXT,
        "sequence": INTEGER,
        "occurred_at": MOMENT,
        "recorded_at": MOMENT,
        "actor": {**TEXT, "description": "A pseudonym"},
        "payload": {"type": "object"},
        "previous_hash": HASH,
        "hash": HASH,
    },
}
TOLD["required"] = list(TOLD["properties"])
CHECKPOINT_SUBJECT = "rollbook-checkpoints"
CHECKPOINT = {
    "type": "object",
    "properties": {
        "checkpoint": {**TEXT, "description": "The text whose bytes are signed"},
        "signature": {**TEXT, "description": "Ed25519"},
        "key": TEXT,
        "heads": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"leaf": TEXT, "path": {"type": "array", "items": TEXT}},
                "required": ["leaf", "path"],
            },
        },
    },
    "required": ["checkpoint", "signature", "key", "heads"],
}


def twin(kind: str) -> dict[str, Any]:
    """The schema of a CDEvent of this type."""
    context = {"specversion": {"const": VERSION}, "id": UUID, "source": TEXT, "type": {"const": kind}}
    content = {"type": "object", "properties": {name: {} for name in TYPES[kind]}, "required": list(TYPES[kind])}
    parts: dict[str, dict[str, Any]] = {
        "context": {**context, "timestamp": MOMENT, "chainId": TEXT},
        "subject": {"id": TEXT, "source": TEXT, "content": content},
        "customData": {"position": INTEGER, "eventId": UUID, "topic": TEXT, "stream": TEXT},
    }
    properties = {name: whole(part) for name, part in parts.items()}
    return whole({**properties, "customDataContentType": {"const": "application/json"}})


def whole(properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}
