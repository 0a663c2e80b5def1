"""Incidents as their users list them, and the deployments that are linked to each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment


class Incidents:
    """One row an incident; `reported_by` is a pseudonym. Its deployments are IncidentLinks."""

    name: ClassVar[str] = "incidents"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("incident",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "began_at": "timestamptz",
        "resolved": "boolean",
        "restore_seconds": "double precision",
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "newest": "btree (organisation, created_position desc)",
        "began": "btree (organisation, began_at)",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Incidents are keyed by their own id."""
        return event.stream_id[9:] if event.stream_id.startswith("incident-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Reported makes the row; resolved and reopened say whether it has an end."""
        kept = {"updated_at": moment(event.recorded_at), "version_number": event.version}
        if event.topic == "incident.reported":
            return {**reported(event, data), **kept}
        if row is None:
            raise ValueError(f"{event.topic} before incident.reported")
        match event.topic:
            case "incident.resolved":
                kept |= resolved(row, data["ended_at"])
            case "incident.reopened":
                kept |= {"ended_at": None, "resolved": False, "restore_seconds": None}
        return {**row, **kept}


def reported(event: RecordedEvent, data: dict[str, Any]) -> Row:
    """A new row."""
    return {
        "id": event.stream_id[9:],
        **{name: data[name] for name in ("organisation", "title", "began_at", "reference", "reported_by")},
        "ended_at": None,
        "resolved": False,
        "restore_seconds": None,
        "created_at": moment(event.recorded_at),
        "created_position": event.position,
    }


def resolved(row: Row, ended_at: str) -> Row:
    """The end, and how long it took."""
    took = datetime.fromisoformat(ended_at) - datetime.fromisoformat(row["began_at"])
    return {"ended_at": ended_at, "resolved": True, "restore_seconds": took.total_seconds()}


class IncidentLinks:
    """One row an incident, a deployment and what they have to do with each other; `linked` is whether that holds."""

    name: ClassVar[str] = "incident_links"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("incident",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "incident_id": 'text collate "C"',
        "deployment_id": 'text collate "C"',
        "relation": 'text collate "C"',
        "linked": "boolean",
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "incident": "btree (organisation, incident_id)",
        "deployment": "btree (organisation, deployment_id)",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Links have no id: what they link is the key."""
        if event.topic not in ("incident.linked", "incident.unlinked"):
            return None
        return "/".join((event.stream_id[9:], event.data["deployment_id"], event.data["relation"]))

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """What was linked again is linked since then."""
        linked = event.topic == "incident.linked"
        if row is None:
            told = {name: data[name] for name in ("deployment_id", "relation")}
            row = {"incident_id": event.stream_id[9:], **told, "created_position": event.position}
        at, by = moment(event.recorded_at), event.envelope["actor"]["id"]
        return {**row, "linked": linked, "changed_at": at, "changed_by": by}
