"""What has become of deliveries, and sending them once more; this is how things stand, and no part of the record."""

from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from adapters.webhooks.bodies import ping
from domain.errors import Gone, Invalid, NotFound, Unavailable
from entrypoints.http import webhook_models as models
from entrypoints.http.headers import LINK
from entrypoints.http.ids import parse_id
from entrypoints.http.reading import resolve
from entrypoints.http.routing import Answer, Call, answer
from entrypoints.http.webhooks import ONE, webhook_row, webhooks

DELIVERIES = f"{ONE}/deliveries"


@webhooks.get(DELIVERIES, action="webhook.read", answer=list[models.DeliveryObject], raises=(NotFound,), gives=(LINK,))
async def list_deliveries(call: Call, webhook_id: str, query: models.ListDeliveries) -> Answer:
    """List deliveries, that of the newest event first; those that were made are forgotten after some days."""
    one = await present(call, webhook_id, removed=True)
    found = await call.app.webhooks.deliveries.listed(
        call.caller.organisation, one, query.state, query.before, query.limit
    )
    full = len(found) == query.limit
    return answer([told(row) for row in found], headers={"link": next_link(call, found[-1])} if full else {})


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


async def present(call: Call, webhook_id: str, removed: bool = False) -> UUID:
    """The id of a webhook of the caller's; Gone when it was removed and that matters."""
    row = await webhook_row(call, webhook_id)
    if row["status"] == "removed" and not removed:
        raise Gone("The webhook was removed")
    return UUID(row["id"])


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A delivery as it is answered."""
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}


def next_link(call: Call, last: dict[str, Any]) -> str:
    """The deliveries of older events."""
    given = [(n, v) for n, v in parse_qsl(call.query_string.decode("latin-1")) if n != "before"]
    return f'<{call.path}?{urlencode([*given, ("before", last["position"])])}>; rel="next"'
