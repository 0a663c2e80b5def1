"""Webhooks: who is told of events by HTTP; subscribe, change, hold back, end."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from adapters.postgres.conditions import equals, one_of
from adapters.webhooks.signing import new_secret
from application import webhooks as commands
from application.execution import Handler
from application.webhook_filters import check_filters
from domain.errors import Clash, Gone, Invalid, NotFound
from entrypoints.http import webhook_models as models
from entrypoints.http.commands import execute
from entrypoints.http.errors import problem_details
from entrypoints.http.ids import parse_id
from entrypoints.http.queue_models import AsOf
from entrypoints.http.reading import SHOWN, TAKEN, Reading, reading
from entrypoints.http.routing import Answer, Call, Interface, answer
from projections.read_model import Row
from projections.registry import WEBHOOKS

webhooks = Interface("webhooks", "/v1/webhooks", problem_details)
PATH = "/v1/webhooks"
ONE = f"{PATH}/{{webhook_id}}"
# So many an organisation may have that were not removed; each costs a little at every event.
MOST = 100
HELD_BACK = "The organisation has {} webhooks already: remove one first"


@webhooks.post(PATH, action="webhook.change", answer=models.SecretWebhook, status=201, raises=(Clash, Invalid))
async def add_webhook(call: Call, body: models.WebhookBody) -> Answer:
    """Tell an address of events. The secret to check signatures with is shown this once."""
    organisation, webhook_id, secret = call.caller.organisation, uuid4(), new_secret()
    filters = body.filters.model_dump(exclude_defaults=True)
    check_filters(filters)
    target = await call.app.webhooks.check(body.url)
    await refuse_too_many(call)
    await call.app.webhooks.endpoints.keep(organisation, webhook_id, body.url, secret)
    command = commands.Subscribe(body.name, target.shown, filters, webhook_id)
    done = await execute(call, commands.subscribe, command, 201)
    if done.repeated:
        await call.app.webhooks.endpoints.drop(organisation, webhook_id)
    told = await webhook_row(call, done.resource)
    return answer({**told, "secret": None if done.repeated else secret}, 201)


async def refuse_too_many(call: Call) -> None:
    """Clash when there is no room for another."""
    present = await reading(call)
    rows = await present.select(WEBHOOKS, [one_of("status", ["active", "paused"])], limit=MOST)
    if len(rows) >= MOST:
        raise Clash(HELD_BACK.format(MOST))


@webhooks.get(PATH, action="webhook.read", answer=list[models.WebhookObject], takes=TAKEN, gives=SHOWN)
async def list_webhooks(call: Call, query: models.ListWebhooks) -> Answer:
    """List webhooks, newest first; never their addresses."""
    past = await reading(call, query.as_of)
    wanted = [query.status] if query.status else ["active", "paused"]
    rows = await past.select(WEBHOOKS, [one_of("status", wanted)], limit=1000)
    return answer(await with_names(call, rows), headers=past.headers())


@webhooks.get(ONE, action="webhook.read", answer=models.WebhookObject, raises=(NotFound,), takes=TAKEN, gives=SHOWN)
async def show_webhook(call: Call, webhook_id: str, query: AsOf) -> Answer:
    """Show one webhook, also after it was removed."""
    past = await reading(call, query.as_of)
    return answer(await find(call, past, webhook_id), headers=past.headers())


@webhooks.patch(ONE, action="webhook.change", answer=models.WebhookObject, raises=(NotFound, Gone, Invalid))
async def change_webhook(call: Call, webhook_id: str, body: models.WebhookChanges) -> Answer:
    """Give a webhook another name, address or filters."""
    await webhook_row(call, webhook_id)
    changes: dict[str, Any] = {} if body.name is None else {"name": body.name}
    if body.filters is not None:
        changes["filters"] = body.filters.model_dump(exclude_defaults=True)
        check_filters(changes["filters"])
    if body.url is not None:
        changes["host"] = (await call.app.webhooks.check(body.url)).shown
    if not changes:
        raise Invalid("There is nothing to change")
    done = await execute(call, commands.change_webhook, commands.ChangeWebhook(webhook_id, changes))
    told = await webhook_row(call, done.resource)
    if body.url is not None:
        await call.app.webhooks.endpoints.set_url(
            call.caller.organisation, UUID(done.resource), body.url, done.position
        )
    return answer(told)


@webhooks.post(f"{ONE}/rotate-secret", action="webhook.change", answer=models.SecretWebhook, raises=(NotFound, Gone))
async def rotate_webhook_secret(call: Call, webhook_id: str) -> Answer:
    """Sign with another secret, which is shown this once; for a day the one before it signs too."""
    secret = new_secret()
    done = await execute(call, commands.rotate_secret, commands.OfWebhook(webhook_id))
    told = await webhook_row(call, done.resource)
    if not done.repeated:
        await call.app.webhooks.endpoints.rotate(call.caller.organisation, UUID(done.resource), secret, done.position)
    return answer({**told, "secret": None if done.repeated else secret})


@webhooks.post(f"{ONE}/pause", action="webhook.change", answer=models.WebhookObject, raises=(NotFound, Clash, Gone))
async def pause_webhook(call: Call, webhook_id: str, body: models.PauseBody) -> Answer:
    """Deliver nothing for a while; what happens meanwhile is delivered afterwards."""
    return await changed(call, commands.pause_webhook, commands.PauseWebhook(webhook_id, body.reason))


@webhooks.post(f"{ONE}/resume", action="webhook.change", answer=models.WebhookObject, raises=(NotFound, Clash, Gone))
async def resume_webhook(call: Call, webhook_id: str) -> Answer:
    """Deliver again, first what happened meanwhile."""
    return await changed(call, commands.resume_webhook, commands.OfWebhook(webhook_id))


@webhooks.delete(ONE, action="webhook.change", answer=models.WebhookObject, raises=(NotFound, Gone))
async def remove_webhook(call: Call, webhook_id: str) -> Answer:
    """End a webhook for good; its address, its secret and what waits for it are forgotten."""
    done = await execute(call, commands.remove_webhook, commands.RemoveWebhook(webhook_id))
    told = await webhook_row(call, done.resource)
    await call.app.webhooks.endpoints.drop(call.caller.organisation, UUID(done.resource))
    return answer(told)


async def changed(call: Call, handler: Handler, command: Any) -> Answer:
    """Runs the command, and shows the webhook as it is then."""
    done = await execute(call, handler, command)
    return answer(await webhook_row(call, done.resource))


async def webhook_row(call: Call, webhook_id: str) -> dict[str, Any]:
    """A webhook that was just written."""
    return await find(call, await reading(call), webhook_id)


async def find(call: Call, past: Reading, webhook_id: str) -> dict[str, Any]:
    """The webhook of this id, or NotFound."""
    key = str(parse_id(webhook_id, "", "Webhook"))
    rows = await past.select(WEBHOOKS, [equals("key", key)], limit=1)
    if not rows:
        raise NotFound("Webhook not found")
    return (await with_names(call, rows))[0]


async def with_names(call: Call, rows: list[Row]) -> list[dict[str, Any]]:
    """Webhooks with logins in the place of pseudonyms."""
    names: Mapping[str, str] = await call.app.people.logins_of(
        call.caller.organisation, {row["created_by"] for row in rows}
    )
    told = models.WebhookObject.model_fields.keys() - {"created_by"}
    return [{**{name: row[name] for name in told}, "created_by": names[row["created_by"]]} for row in rows]
