"""A second opinion on webhooks."""

from tests.kernel.log_words import Document, Event, at, last, own_id, said


def webhook(events: list[Event], _: list[Event]) -> Document:
    """A webhook, each member looked up in the events that set it."""
    first, now = events[0], events[-1]
    told = said(first)
    rotated, removed = last(events, "webhook.secret_rotated"), last(events, "webhook.removed")
    turned = last(events, "webhook.paused", "webhook.resumed")
    paused = turned if turned and turned["topic"] == "webhook.paused" else None
    document = {
        **{name: told[name] for name in ("organisation", "name", "host", "filters")},
        "id": own_id(first),
        "status": "removed" if removed else "paused" if paused else "active",
        "paused_reason": said(paused)["reason"] if paused else None,
        "paused_rule": said(paused)["rule"] if paused else None,
        "paused_at": at(paused) if paused else None,
        "created_by": told["subscribed_by"],
        "created_at": at(first),
        "updated_at": at(now),
        "secret_rotated_at": at(rotated) if rotated else None,
        "removed_at": at(removed) if removed else None,
        "version_number": now["version"],
        "created_position": first["position"],
    }
    for event in events:
        if event["topic"] == "webhook.changed":
            document |= said(event)["changes"]
    return document
