"""Says what the log says in the words of CDEvents 0.5 where that vocabulary has one, as `rollbook-*` where it has none.

Nothing personal is in a twin: no actor, no notes, no reason, no repository.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote
from uuid import uuid5

import orjson
from pydantic_core import from_json

from adapters.nats.cloudevents import Message, header_lines, header_value, source_of, time_of
from adapters.nats.source import StoredEvent
from adapters.nats.subjects import token

ROOT = "cdevents"
EVERY_TWIN = f"{ROOT}.>"
VERSION = "0.5.0"
QUEUED = "dev.cdevents.pipelinerun.queued.0.3.0"
STARTED = "dev.cdevents.pipelinerun.started.0.3.0"
FINISHED = "dev.cdevents.pipelinerun.finished.0.3.0"
DEPLOYED = "dev.cdevents.service.deployed.0.3.0"
UPGRADED = "dev.cdevents.service.upgraded.0.3.0"
ROLLED_BACK = "dev.cdevents.service.rolledback.0.3.0"
CREATED = "dev.cdevents.environment.created.0.3.0"
MODIFIED = "dev.cdevents.environment.modified.0.3.0"
DELETED = "dev.cdevents.environment.deleted.0.3.0"
DETECTED = "dev.cdevents.incident.detected.0.3.0"
REPORTED = "dev.cdevents.incident.reported.0.3.0"
RESOLVED = "dev.cdevents.incident.resolved.0.3.0"
SUPERSEDED = "dev.cdeventsx.rollbook-deployment.superseded.0.1.0"
SKIPPED = "dev.cdeventsx.rollbook-deployment.skipped.0.1.0"
FROZEN = "dev.cdeventsx.rollbook-freeze.declared.0.1.0"
LIFTED = "dev.cdeventsx.rollbook-freeze.lifted.0.1.0"
# What may be told, with the members that its subject's content must have.
TYPES: dict[str, tuple[str, ...]] = {
    QUEUED: ("pipelineName",),
    STARTED: ("pipelineName", "uri"),
    FINISHED: ("pipelineName", "outcome"),
    DEPLOYED: ("environment", "artifactId"),
    UPGRADED: ("environment", "artifactId"),
    ROLLED_BACK: ("environment", "artifactId"),
    CREATED: ("name",),
    MODIFIED: ("name",),
    DELETED: ("name",),
    DETECTED: ("environment",),
    REPORTED: ("environment", "ticketURI"),
    RESOLVED: ("environment",),
    SUPERSEDED: ("environment", "artifactId", "supersededBy"),
    SKIPPED: ("environment", "artifactId"),
    FROZEN: ("scope", "until"),
    LIFTED: (),
}
WAITS = ("scheduled", "requested", "requested_again", "retry_scheduled", "worker_lost", "released", "retried")
RUN_BEGINS = {**dict.fromkeys(WAITS, QUEUED), "started": STARTED, "claimed": STARTED}
RUN_ENDS = {
    "deployed": ("success", None),
    "completed": ("success", None),
    "failed": ("failure", None),
    "cancelled": ("error", "Cancelled"),
    "timed_out": ("error", "Timed out"),
}
RUNS = ("deployment", "data_deployment", "job")
INCIDENTS = ("reported", "linked", "reopened", "resolved")
CAUSED = "caused"
WEB = ("https://", "http://")
ENVIRONMENT_CHANGES = {"added": CREATED, "changed": MODIFIED, "removed": DELETED}
HEADERS = ("Nats-Msg-Id", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "content-type")


@dataclass(frozen=True, slots=True)
class Known:
    """What an event's twin needs to know beyond the event. `lived` tells whether the same was live there before."""

    name: str
    place: tuple[str, ...] = ()
    version: str = ""
    environment: str = ""
    rollback: bool = False
    uri: str | None = None
    lived: bool = False


class Knowing(Protocol):
    """Who knows it."""

    async def known(self, event: StoredEvent) -> Known | None:
        """None where the event has no twin."""
        ...


@dataclass(frozen=True, slots=True)
class Twin:
    """One CDEvent: what happened to which subject."""

    type: str
    subject: str
    content: dict[str, Any]


def has_twins(topic: str) -> bool:
    """Whether events of this topic are told at all."""
    aggregate, _, name = topic.partition(".")
    if aggregate in RUNS:
        return name in RUN_BEGINS or name in RUN_ENDS or name == "skipped"
    if aggregate == "incident":
        return name in INCIDENTS
    return (aggregate == "environment" and name in ENVIRONMENT_CHANGES) or topic in FREEZES


def twins(event: StoredEvent, known: Known) -> list[Twin]:
    """Every CDEvent that this event is."""
    aggregate, _, name = event.topic.partition(".")
    data = from_json(event.payload)
    if aggregate == "environment":
        return [Twin(ENVIRONMENT_CHANGES[name], known.name, {"name": known.name})]
    if event.topic in FREEZES:
        return [freeze_of(event.topic, data)]
    if aggregate == "incident":
        mended = data.get("relation", CAUSED) != CAUSED
        return [] if mended else [incident(event.stream_id, name, data, known)]
    if name == "skipped":
        return [skipped(event.stream_id, data["skipped_by"], known)]
    return [run(event.stream_id, name, known), *live(aggregate, name, known)]


FREEZES = {"freezes.declared": FROZEN, "freezes.lifted": LIFTED}


def freeze_of(topic: str, data: dict[str, Any]) -> Twin:
    """A freeze as it begins or is ended before its time."""
    if topic == "freezes.lifted":
        return Twin(LIFTED, data["freeze_id"], {})
    freeze = data["freeze"]
    scope = {name: value for name, value in freeze["scope"].items() if value is not None}
    return Twin(FROZEN, freeze["id"], {"scope": scope, "until": freeze["until"]})


def skipped(stream_id: str, by: str | None, known: Known) -> Twin:
    """A deployment that will not run."""
    if by is None:
        return Twin(SKIPPED, stream_id, artifact(known))
    return Twin(SUPERSEDED, stream_id, {**artifact(known), "supersededBy": f"deployment-{by}"})


def incident(stream_id: str, name: str, data: dict[str, Any], known: Known) -> Twin:
    """An incident in the environment of the deployment that caused it; by a ticket where its reference leads to one."""
    content = {**artifact(known), "service": {"id": component(known)}} if known.name else {"environment": place(known)}
    if name == "resolved":
        return Twin(RESOLVED, stream_id, content)
    ticket = data.get("reference") or ""
    if ticket.startswith(WEB):
        return Twin(REPORTED, stream_id, {**content, "ticketURI": ticket})
    return Twin(DETECTED, stream_id, content)


def run(stream_id: str, name: str, known: Known) -> Twin:
    """A deployment as the run of a pipeline."""
    uri = known.uri or f"urn:uuid:{stream_id.partition('-')[2]}"
    content = {"pipelineName": known.name, "uri": uri}
    if begins := RUN_BEGINS.get(name):
        return Twin(begins, stream_id, content)
    outcome, errors = RUN_ENDS[name]
    return Twin(FINISHED, stream_id, {**content, "outcome": outcome, **({"errors": errors} if errors else {})})


def live(aggregate: str, name: str, known: Known) -> Iterator[Twin]:
    """What runs in the environment now, where that is software."""
    if aggregate == "deployment" and name == "deployed":
        kind = ROLLED_BACK if known.rollback else UPGRADED if known.lived else DEPLOYED
        yield Twin(kind, component(known), artifact(known))


def component(known: Known) -> str:
    """A component in its place."""
    return "/".join(quote(one, safe="") for one in (*known.place, known.name))


def place(known: Known) -> dict[str, str]:
    """An environment has a name, even where nobody gave one."""
    return {"id": known.environment or "unnamed"}


def artifact(known: Known) -> dict[str, Any]:
    """What is deployed, as a package URL, and where."""
    purl = f"pkg:generic/{quote(known.name, safe='')}@{quote(known.version, safe='')}"
    return {"environment": place(known), "artifactId": purl}


def twin_message(event: StoredEvent, twin: Twin, store: str, epoch: int) -> Message:
    """The message for a twin: CloudEvents in binary mode, the CDEvent as its data."""
    told = document(event, twin)
    headers = {
        "Nats-Msg-Id": told["context"]["id"],
        "ce-specversion": "1.0",
        "ce-id": told["context"]["id"],
        "ce-source": source_of(event.organisation),
        "ce-type": twin.type,
        "ce-subject": header_value(twin.subject),
        "ce-time": told["context"]["timestamp"],
        "content-type": "application/json",
        "rollbook-position": str(event.position),
        "rollbook-store": store,
        "rollbook-epoch": str(epoch),
    }
    subject = twin_subject(event.organisation, twin.type)
    payload = orjson.dumps(told)
    return Message(event.position, event.commit_position, subject, payload, headers, header_lines(headers))


def twin_subject(organisation: str, kind: str) -> str:
    """`cdevents.<organisation>.dev.cdevents.service.deployed.0.3.0`."""
    return f"{ROOT}.{token(organisation)}.{kind}"


def document(event: StoredEvent, twin: Twin) -> dict[str, Any]:
    """The CDEvent; the same at every try, so that a repeat has the same id."""
    return {
        "context": {
            "specversion": VERSION,
            "id": str(uuid5(event.event_id, twin.type)),
            "source": source_of(event.organisation),
            "type": twin.type,
            "timestamp": time_of(event.recorded_at),
            "chainId": event.stream_id,
        },
        "subject": {"id": twin.subject, "source": source_of(event.organisation), "content": twin.content},
        "customData": {
            "position": event.position,
            "eventId": str(event.event_id),
            "topic": event.topic,
            "stream": event.stream_id,
        },
        "customDataContentType": "application/json",
    }
