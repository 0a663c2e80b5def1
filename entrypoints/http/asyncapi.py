"""The AsyncAPI 3.0 document of the feed, made from the events that there are and the headers that they travel with."""

from collections.abc import Hashable
from importlib.metadata import version
from inspect import getdoc
from typing import Any, cast, get_type_hints

from pydantic import TypeAdapter

from adapters.nats import cdevents
from adapters.nats.subjects import ROOT
from adapters.postgres.codec import payload_fields, schema_version
from domain.aggregates import EVENTS
from entrypoints.http.asyncapi_headers import CHECKPOINT, CHECKPOINT_SUBJECT, EVENT_HEADERS, TOLD, TWIN_HEADERS, twin

COMPONENT = "#/components/schemas/{model}"
ORGANISATION = {"description": "The organisation in lower case, percent-encoded as one token", "examples": ["acme"]}
SERVERS = {
    "nats": {
        "host": "localhost:4222",
        "protocol": "nats",
        "description": "JetStream streams ROLLBOOK and CDEVENTS. A user of an organisation sees its subjects only.",
        "security": [{"$ref": "#/components/securitySchemes/password"}],
    },
    "http": {
        "host": "localhost:8000",
        "protocol": "http",
        "description": "Rollbook itself.",
        "security": [{"$ref": "#/components/securitySchemes/bearer"}],
    },
    "websocket": {
        "host": "localhost:8000",
        "protocol": "ws",
        "description": "The same over a WebSocket.",
        "security": [{"$ref": "#/components/securitySchemes/bearer"}],
    },
}
Part = dict[str, Any]


def async_document() -> Part:
    """Everything that a subscriber can know."""
    channels = {**event_channels(), **twin_channels(), **web_channels(), "checkpoints": checkpoints()}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:rollbook:feed",
        "info": {
            "title": "Rollbook's feed",
            "version": version("rollbook"),
            "description": "Every event of the log, in order and without a gap: over NATS, and over HTTP.",
        },
        "defaultContentType": "application/json",
        "servers": SERVERS,
        "channels": channels,
        "operations": {name: operation(name, channel) for name, channel in channels.items()},
        "components": {
            "messages": {**event_messages(), **twin_messages(), "told": told(), "checkpoint": checkpoint()},
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "password": {"type": "userPassword"},
            },
        },
    }


def operation(name: str, channel: Part) -> Part:
    """Rollbook sends, whoever listens."""
    sent = [{"$ref": f"#/channels/{name}/messages/{message}"} for message in channel["messages"]]
    return {"action": "send", "channel": {"$ref": f"#/channels/{name}"}, "summary": channel["title"], "messages": sent}


def event_channels() -> Part:
    """One subject for each kind of event."""
    return {
        topic: channel(f"{ROOT}.{{organisation}}.{topic}", topic, doc(event), [topic], "nats")
        for topic, event in EVENTS.items()
    }


def twin_channels() -> Part:
    """One subject for each CDEvent."""
    return {
        kind: channel(f"{cdevents.ROOT}.{{organisation}}.{kind}", kind, "The same in words of CDEvents", [kind], "nats")
        for kind in cdevents.TYPES
    }


def web_channels() -> Part:
    """The feed without NATS."""
    about = "All events of the caller's organisation, from any position on"
    return {
        "server-sent-events": channel("/v1/events", "Server-sent events", about, ["told"], "http"),
        "websocket": channel("/v1/events/ws", "WebSocket", about, ["told"], "websocket"),
    }


def checkpoints() -> Part:
    """Where seals are told."""
    about = "A signed seal over the heads of all organisations' chains, as it is made"
    return channel(CHECKPOINT_SUBJECT, "Checkpoints", about, ["checkpoint"], "nats")


def channel(address: str, title: str, about: str, messages: list[str], server: str) -> Part:
    """Where these messages are found."""
    found: Part = {
        "address": address,
        "title": title,
        "description": about,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    if "{organisation}" in address:
        found["parameters"] = {"organisation": ORGANISATION}
    return found


def event_messages() -> Part:
    """Each kind of event as NATS carries it."""
    return {topic: event_message(topic, event) for topic, event in EVENTS.items()}


def event_message(topic: str, event: Any) -> Part:
    """One kind of event: its payload's exact bytes, with the rest in headers."""
    return {
        "name": f"{ROOT}.{topic}",
        "title": topic,
        "summary": doc(event),
        "contentType": "application/json",
        "correlationId": {"location": "$message.header#/rollbook-correlation-id"},
        "headers": {"$ref": COMPONENT.format(model="EventHeaders")},
        "payload": {"$ref": COMPONENT.format(model=topic)},
        "x-schema-version": schema_version(cast(Hashable, event)),
        "x-dataschema": f"urn:rollbook:{topic}:{schema_version(cast(Hashable, event))}",
    }


def twin_messages() -> Part:
    """Each CDEvent."""
    headers = {"$ref": COMPONENT.format(model="TwinHeaders")}
    return {
        kind: {"name": kind, "contentType": "application/json", "headers": headers, "payload": twin(kind)}
        for kind in cdevents.TYPES
    }


def told() -> Part:
    """Any event as HTTP carries it."""
    return {
        "name": "event",
        "summary": "An event with everything around it; the id of a server-sent event is its position",
        "contentType": "application/json",
        "payload": {"$ref": COMPONENT.format(model="Told")},
    }


def checkpoint() -> Part:
    """A seal."""
    return {"name": "checkpoint", "contentType": "application/json", "payload": CHECKPOINT}


def schemas() -> Part:
    """Every payload by its topic, what payloads hold by its name, and what surrounds them."""
    found: Part = {"EventHeaders": EVENT_HEADERS, "TwinHeaders": TWIN_HEADERS}
    for topic, event in EVENTS.items():
        found[topic] = payload(event, found)
    payloads = [{"$ref": COMPONENT.format(model=topic)} for topic in EVENTS]
    told = {**TOLD["properties"], "topic": {"enum": list(EVENTS)}, "payload": {"anyOf": payloads}}
    return {**found, "Told": {**TOLD, "properties": told}}


def payload(event: Any, found: Part) -> Part:
    """The schema of an event's payload; definitions that it needs go to `found`."""
    hints = get_type_hints(event)
    names = payload_fields(cast(Hashable, event))
    properties = {}
    for name in names:
        properties[name] = TypeAdapter(hints[name]).json_schema(ref_template=COMPONENT)
        found |= properties[name].pop("$defs", {})
        title = properties[name].get("title")
        if title and properties[name].get("type") == "object":
            found[title], properties[name] = properties[name], {"$ref": COMPONENT.format(model=title)}
    return {"type": "object", "description": doc(event), "properties": properties, "required": list(names)}


def doc(event: Any) -> str:
    """What an event says of itself."""
    return " ".join((getdoc(event) or "").split())
