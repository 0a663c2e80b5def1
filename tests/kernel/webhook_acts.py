"""What users do with webhooks, for random histories of that."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from application import webhooks
from application.execution import Handler

CHANGES: tuple[dict[str, Any], ...] = (
    {"name": "other"},
    {"host": "hooks.test:8443", "filters": {"topics": ["lane.*"]}},
    {"filters": {}},
)
ON_WEBHOOK: dict[str, Callable[[UUID, int], tuple[Handler, Any]]] = {
    "alter hook": lambda one, n: (
        webhooks.change_webhook,
        webhooks.ChangeWebhook(str(one), CHANGES[n % len(CHANGES)]),
    ),
    "rotate": lambda one, n: (webhooks.rotate_secret, webhooks.OfWebhook(str(one))),
    "hold": lambda one, n: (
        webhooks.pause_webhook,
        webhooks.PauseWebhook(str(one), "Too much", "nothing-delivered" if n % 2 else None),
    ),
    "let go": lambda one, n: (webhooks.resume_webhook, webhooks.OfWebhook(str(one))),
    "unsubscribe": lambda one, n: (webhooks.remove_webhook, webhooks.RemoveWebhook(str(one), "Enough")),
}
HOOKED = ("subscribe", *ON_WEBHOOK)
ALL = ("subscribe", "alter hook", "rotate", "hold", "let go", "hold", "unsubscribe", "rotate", "subscribe", "let go")


def subscribing(webhook_id: UUID, choice: int) -> tuple[Handler, Any]:
    """A new webhook."""
    filters = {"topics": ["deployment.*"], "names": []} if choice % 2 else {}
    return webhooks.subscribe, webhooks.Subscribe(f"hook {choice}", "hooks.test", filters, webhook_id)
