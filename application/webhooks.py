"""Subscribing to events by HTTP, changing that, holding it back and ending it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from application.execution import Work
from application.webhook_filters import Filters
from domain.errors import NotFound
from domain.webhook import Webhook


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Tell somebody of events; the caller keeps the address and the secret, this the host."""

    name: str
    host: str
    filters: Filters
    webhook_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class ChangeWebhook:
    """Another name, host or filters."""

    webhook_id: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OfWebhook:
    """Something is done with a webhook that needs no more words."""

    webhook_id: str


@dataclass(frozen=True, slots=True)
class PauseWebhook:
    """Hold deliveries back. `rule` is the one that decided it, None where somebody did."""

    webhook_id: str
    reason: str | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveWebhook:
    """End a subscription for good."""

    webhook_id: str
    reason: str | None = None


async def subscribe(work: Work, command: Subscribe) -> str:
    """Answers the webhook's id."""
    filters = {kind: list(values) for kind, values in command.filters.items() if values}
    facts = {"organisation": work.organisation, "name": command.name, "host": command.host, "filters": filters}
    work.add(Webhook.subscribe(command.webhook_id, work.now, subscribed_by=work.actor, **facts))
    return str(command.webhook_id)


async def change_webhook(work: Work, command: ChangeWebhook) -> str:
    """Answers the webhook's id."""
    webhook = await load_webhook(work, command.webhook_id)
    webhook.change(dict(command.changes), work.now)
    return str(webhook.id)


async def rotate_secret(work: Work, command: OfWebhook) -> str:
    """Answers the webhook's id."""
    webhook = await load_webhook(work, command.webhook_id)
    webhook.rotate_secret(work.now)
    return str(webhook.id)


async def pause_webhook(work: Work, command: PauseWebhook) -> str:
    """Answers the webhook's id."""
    webhook = await load_webhook(work, command.webhook_id)
    webhook.pause(command.reason, work.now, command.rule)
    return str(webhook.id)


async def resume_webhook(work: Work, command: OfWebhook) -> str:
    """Answers the webhook's id."""
    webhook = await load_webhook(work, command.webhook_id)
    webhook.resume(work.now)
    return str(webhook.id)


async def remove_webhook(work: Work, command: RemoveWebhook) -> str:
    """Answers the webhook's id."""
    webhook = await load_webhook(work, command.webhook_id)
    webhook.remove(command.reason, work.now)
    return str(webhook.id)


async def load_webhook(work: Work, webhook_id: str) -> Webhook:
    """The webhook, or NotFound."""
    try:
        webhook = await work.load(Webhook, UUID(webhook_id))
    except ValueError:
        webhook = None
    if webhook is None:
        raise NotFound("Webhook not found")
    return webhook
