"""What has become of deliveries, now and in the last days, and sending them once more; they are no part of the log."""

from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from adapters.postgres.delivery_versions import Point
from adapters.postgres.references import BEGINNING
from adapters.postgres.webhook_deliveries import WebhookDeliveries
from adapters.webhooks.bodies import ping
from domain.errors import Gone, Invalid, NotFound, Unavailable
from entrypoints.http import webhook_models as models
from entrypoints.http.epochs import refuse_other_epoch
from entrypoints.http.headers import EPOCH, LINK
from entrypoints.http.ids import parse_id
from entrypoints.http.reading import SHOWN, Reading, resolve, resolve_reference
from entrypoints.http.routing import Answer, Call, answer
from entrypoints.http.webhooks import ONE, find, webhook_row, webhooks

DELIVERIES = f"{ONE}/deliveries"


@webhooks.get(
    DELIVERIES,
    action="webhook.read",
    answer=list[models.DeliveryObject],
    raises=(NotFound,),
    takes=(EPOCH,),
    gives=(LINK, *SHOWN),
)
async def list_deliveries(call: Call, webhook_id: str, query: models.ListDeliveries) -> Answer:
    """List deliveries, that of the newest event first; those that were made are forgotten after some days."""
    past = await point(call, query.as_of)
    shown = Reading(call, past.position if past else None, patient=True)
    one = UUID((await find(call, shown, webhook_id))["id"])
    await shown.reach_log()
    deliveries: WebhookDeliveries = call.app.webhooks.deliveries
    wanted = (call.caller.organisation, one, query.state, query.before, query.limit)
    found = await (deliveries.versions.listed(*wanted, past) if past else deliveries.listed(*wanted))
    link = {"link": next_link(call, found[-1], past)} if len(found) == query.limit else {}
    return answer([told(row) for row in found], headers=shown.headers() | link)


async def point(call: Call, as_of: str | None) -> Point | None:
    """The point of the past that was asked for. A moment is itself, any other has the one at which it was recorded."""
    refuse_other_epoch(call, positioned=as_of is not None)
    if as_of is None:
        return None
    found = await resolve_reference(call, as_of)
    if found.moment:
        return Point(found.moment, found.position, found.moment.isoformat())
    return Point(await call.app.runs.moment_at(found.position) or BEGINNING, found.position, str(found.position))


@webhooks.post(
    f"{DELIVERIES}/{{delivery_id}}/replay",
    action="webhook.replay",
    answer=models.DeliveryObject,
    appends=False,
    raises=(NotFound, Gone),
)
async def replay_delivery(call: Call, webhook_id: str, delivery_id: str) -> Answer:
    """Send one delivery once more, under the same id, whatever became of it."""
    one, wanted = await present(call, webhook_id), parse_id(delivery_id, "", "Delivery")
    organisation, deliveries = call.caller.organisation, call.app.webhooks.deliveries
    if not await deliveries.replay(organisation, one, wanted):
        raise NotFound("Delivery not found")
    call.app.webhooks.wake()
    found = await deliveries.listed(organisation, one, None, None, 1, wanted)
    return answer(told(found[0]))


@webhooks.post(
    f"{ONE}/replay",
    action="webhook.replay",
    answer=models.Replayed,
    appends=False,
    raises=(NotFound, Gone, Invalid, Unavailable),
)
async def replay_deliveries(call: Call, webhook_id: str, body: models.ReplayBody) -> Answer:
    """Send once more all that was given up, or everything after a point in time."""
    if (body.state is None) == (body.after is None):
        raise Invalid("Give state or after, and not both")
    one, deliveries = await present(call, webhook_id), call.app.webhooks.deliveries
    count = position = None
    if body.after is None:
        count = await deliveries.replay(call.caller.organisation, one)
    else:
        position = await resolve(call, body.after, "after")
        await deliveries.replay_from(call.caller.organisation, one, position)
    call.app.webhooks.wake()
    return answer({"deliveries": count, "after": position})


@webhooks.post(f"{ONE}/test", action="webhook.replay", answer=models.PingObject, appends=False, raises=(NotFound, Gone))
async def test_webhook(call: Call, webhook_id: str) -> Answer:
    """Send a ping, and say what the receiver answered."""
    one, organisation = await present(call, webhook_id), call.caller.organisation
    body = partial(ping, organisation, str(one), now=datetime.now(UTC))
    outcome = await call.app.webhooks.try_out(organisation, one, body)
    told = {"ok": outcome.ok, "status": outcome.status, "problem": outcome.problem}
    return answer({**told, "milliseconds": outcome.milliseconds})


async def present(call: Call, webhook_id: str) -> UUID:
    """The id of a webhook of the caller's; Gone when it was removed."""
    row = await webhook_row(call, webhook_id)
    if row["status"] == "removed":
        raise Gone("The webhook was removed")
    return UUID(row["id"])


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A delivery as it is answered."""
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}


def next_link(call: Call, last: dict[str, Any], past: Point | None) -> str:
    """The deliveries of older events, at the same point of the past."""
    kept = [(n, v) for n, v in parse_qsl(call.query_string.decode("latin-1")) if n not in ("before", "as_of")]
    then = [("as_of", past.reference)] if past else []
    return f'<{call.path}?{urlencode([*kept, *then, ("before", last["position"])])}>; rel="next"'
