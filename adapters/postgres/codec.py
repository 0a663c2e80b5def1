"""Turns domain events into the bytes that are stored and hashed, and back; old versions are upcast on the way."""

from collections.abc import Hashable
from copy import deepcopy
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from typing import Any, cast, get_type_hints
from uuid import UUID

import orjson
from eventsourcing.utils import TopicError, get_topic, resolve_topic
from pydantic import TypeAdapter

from application.ports.event_store import Commit, DomainEvent
from domain.aggregates import TOPICS

MAX_EVENT_BYTES = 256 * 1024
# What append writes into an envelope itself, with numbers as long as they get.
STAMP_BYTES = 144
WRITER = f"rollbook {version('rollbook')}"
NOT_PAYLOAD = frozenset({"originator_id", "originator_version", "timestamp", "originator_topic"})


class UnknownEvent(Exception):
    """A topic, or a version of one, that this release does not know: it was written by a newer one."""


@cache
def payload_fields(event_class: Hashable) -> tuple[str, ...]:
    """The names of what an event says of its own."""
    return tuple(f.name for f in fields(cast(Any, event_class)) if f.name not in NOT_PAYLOAD)


@cache
def value_objects(event_class: Hashable) -> dict[str, TypeAdapter[Any]]:
    """How to rebuild the fields that are value objects."""
    hints = get_type_hints(cast(Any, event_class))
    return {n: TypeAdapter(hints[n]) for n in payload_fields(cast(Any, event_class)) if is_dataclass(hints[n])}


@cache
def schema_version(event_class: Hashable) -> int:
    """The version that this release writes."""
    return int(getattr(event_class, "class_version", 1))


def encode_payload(event: DomainEvent) -> bytes:
    """The exact bytes that are stored and hashed."""
    return orjson.dumps({name: getattr(event, name) for name in payload_fields(cast(Hashable, type(event)))})


def encode_envelope(event: DomainEvent, event_id: UUID, stream_id: str, command_id: UUID, commit: Commit) -> bytes:
    """Everything around the payload but what the append itself adds (position, sequence, recorded_at)."""
    around = commit.circumstances
    return orjson.dumps(
        {
            "event_id": event_id,
            "stream_id": stream_id,
            "version": event.originator_version,
            "topic": get_topic(type(event)),
            "schema_version": schema_version(cast(Hashable, type(event))),
            "organisation": commit.organisation,
            "occurred_at": around.occurred_at,
            "actor": {"id": around.actor.id, "sealed_login": around.actor.sealed_login},
            "cause": {
                "correlation_id": around.correlation_id,
                "causation_id": around.causation_id,
                "command_id": command_id,
                "traceparent": around.traceparent,
            },
            "origin": around.origin,
            "decision": commit.decisions.get(stream_id) or decision_of(event),
            "algorithm": "sha256",
            "writer": WRITER,
        }
    )


def decision_of(event: DomainEvent) -> dict[str, Any] | None:
    """The rule behind an event that was decided by one, with what it was decided on."""
    if (rule := getattr(event, "rule", None)) is None:
        return None
    return {
        "rule": rule,
        "inputs": {n: getattr(event, n) for n in payload_fields(cast(Hashable, type(event))) if n != "rule"},
    }


@cache
def event_class_of(topic: str, version: int) -> type[Any]:
    """The class of this topic; UnknownEvent when a newer release wrote such an event."""
    if topic.partition(".")[0] not in TOPICS:
        raise UnknownEvent(f"{topic} is not known to this release")
    try:
        event_class: type[Any] = resolve_topic(topic)
    except TopicError as problem:
        raise UnknownEvent(f"{topic} is not known to this release") from problem
    newest = schema_version(cast(Hashable, event_class))
    if version > newest:
        raise UnknownEvent(f"{topic} version {version} is newer than {newest}")
    return event_class


def upcast(topic: str, from_version: int, data: dict[str, Any]) -> tuple[type[Any], dict[str, Any]]:
    """The event's class, and its data in the newest version, `data` itself unchanged; UnknownEvent as above."""
    event_class = event_class_of(topic, from_version)
    newest = schema_version(cast(Hashable, event_class))
    if from_version < newest:
        data = deepcopy(data)
        for step in range(from_version, newest):
            getattr(event_class, f"upcast_v{step}_v{step + 1}")(data)
    return event_class, data


def decode(
    topic: str, from_version: int, payload: bytes, originator_id: UUID, originator_version: int, timestamp: Any
) -> DomainEvent:
    """The event that stands in the log."""
    event_class, data = upcast(topic, from_version, orjson.loads(payload))
    for name, adapter in value_objects(cast(Hashable, event_class)).items():
        data[name] = adapter.validate_python(data[name])
    if hasattr(event_class, "__dataclass_fields__") and "originator_topic" in event_class.__dataclass_fields__:
        data["originator_topic"] = topic.split(".", 1)[0]
    event: DomainEvent = event_class(
        originator_id=originator_id, originator_version=originator_version, timestamp=timestamp, **data
    )
    return event
