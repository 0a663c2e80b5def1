"""Webhooks as their organisation lists them; neither address nor secret is here."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment


class Webhooks:
    """One row a webhook, also after it was removed. `created_by` is a pseudonym."""

    name: ClassVar[str] = "webhooks"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("webhook",)
    columns: ClassVar[Mapping[str, str]] = {"created_position": "bigint", "status": 'text collate "C"'}
    indexes: ClassVar[Mapping[str, str]] = {"newest": "btree (organisation, created_position desc)"}

    def key(self, event: RecordedEvent) -> str | None:
        """Webhooks are keyed by their own id."""
        return event.stream_id[8:] if event.stream_id.startswith("webhook-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Subscribed makes the row; everything after changes it."""
        at = moment(event.recorded_at)
        if event.topic == "webhook.subscribed":
            return subscribed(event, data, at)
        if row is None:
            raise ValueError(f"{event.topic} before webhook.subscribed")
        kept = {"updated_at": at, "version_number": event.version}
        return {**row, **changes(event, data, at), **kept}


def subscribed(event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """A new row."""
    told = ("organisation", "name", "host", "filters")
    return {
        "id": event.stream_id[8:],
        **{name: data[name] for name in told},
        "status": "active",
        "paused_reason": None,
        "paused_rule": None,
        "paused_at": None,
        "created_by": data["subscribed_by"],
        "created_at": at,
        "updated_at": at,
        "secret_rotated_at": None,
        "removed_at": None,
        "version_number": event.version,
        "created_position": event.position,
    }


def changes(event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """The members that an event sets."""
    match event.topic:
        case "webhook.changed":
            return dict(data["changes"])
        case "webhook.secret_rotated":
            return {"secret_rotated_at": at}
        case "webhook.paused":
            return {"status": "paused", "paused_reason": data["reason"], "paused_rule": data["rule"], "paused_at": at}
        case "webhook.resumed":
            return {"status": "active", "paused_reason": None, "paused_rule": None, "paused_at": None}
        case "webhook.removed":
            return {"status": "removed", "removed_at": at}
    return {}
