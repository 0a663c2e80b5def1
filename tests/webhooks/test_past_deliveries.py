"""What had become of deliveries at a moment is told for ever, or no more; and never otherwise than it was."""

import asyncio
from datetime import UTC, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import httpx2
import psycopg
import pytest

from entrypoints.operator import Operator
from tests.webhooks.conftest import Hooks
from tests.webhooks.receiver import Came, Receiver, answered

pytestmark = pytest.mark.asyncio(loop_scope="session")
ONE = ["deployment.scheduled"]
SEVEN_DAYS = timedelta(days=7)
WAITS = "select 1 from pg_locks where locktype = 'advisory' and not granted"
UNBROKEN = """select bool_and(since < until), bool_and(since = coalesce(before, since)) from (
               select *, lag(until) over (partition by delivery_id order by since) as before
                 from rollbook.webhook_delivery_versions where webhook_id = %s) versions"""
IN_AN_HOUR = """insert into rollbook.events
  select position + 1, position + 1, gen_random_uuid(), 'of-the-future', 1, topic, 1, 'nobody', 1,
         recorded_at + interval '1 hour', envelope, payload, previous_hash, hash
    from rollbook.events order by position desc limit 1 returning recorded_at"""


def always(status: int, _: Came) -> bytes:
    """The same answer to whatever comes."""
    return answered(status)


async def told(hooks: Hooks, webhook: str, as_of: str, expect: int = 200, **wanted: Any) -> httpx2.Response:
    """The list of deliveries at a point of the past."""
    path, headers = f"/v1/webhooks/{webhook}/deliveries", {"X-Organisation": hooks.organisation}
    answer = await hooks.rollbook.client.get(path, params={"as_of": as_of, **wanted}, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer


async def states(hooks: Hooks, webhook: str, as_of: str, **wanted: Any) -> list[str]:
    """The states of that list."""
    return [one["state"] for one in (await told(hooks, webhook, as_of, **wanted)).json()]


async def passes(hooks: Hooks) -> str:
    """Something else happens, of which nobody is told; its position."""
    await hooks.deploy(name="till")
    return str(await hooks.rollbook.app.log.head())


async def waiting(hooks: Hooks, receiver: Receiver, count: int = 1) -> str:
    """A webhook for which so much waits."""
    made = await hooks.add(receiver.url(), topics=ONE, names=["shop"])
    for number in range(count):
        await hooks.deploy(version=str(number))
    while await hooks.rollbook.app.webhooks.queue.advance():
        pass
    return str(made["id"])


async def test_each_state_of_a_delivery_is_told_for_ever(hooks: Hooks, receiver: Receiver) -> None:
    webhook = await waiting(hooks, receiver)
    then = [await passes(hooks)]
    for status in (503, 200):
        receiver.answers = partial(always, status)
        hooks.make_due()
        await hooks.settle()
        then.append(await passes(hooks))
    (one,) = (await told(hooks, webhook, then[-1])).json()
    await hooks.ask("POST", f"/{webhook}/deliveries/{one['id']}/replay")
    then.append(await passes(hooks))
    said = [await told(hooks, webhook, at) for at in then]
    seen = [(one["state"], one["attempts"], one["problem"]) for answer in said for one in answer.json()]
    assert seen == [("waiting", 0, None), ("waiting", 1, "answered 503"), ("delivered", 2, None), ("waiting", 0, None)]
    for at, answer in zip(then, said, strict=True):
        assert (answer.headers["x-rollbook-position"], answer.headers["x-rollbook-as-of"]) == (at, at)
    await hooks.settle()
    await hooks.ask("DELETE", f"/{webhook}")
    await hooks.settle()
    await hooks.rollbook.app.webhooks.deliveries.tidy(SEVEN_DAYS, 1000)
    assert [(await told(hooks, webhook, at)).content for at in then] == [answer.content for answer in said]
    assert await states(hooks, webhook, await passes(hooks)) == []
    assert hooks.run(UNBROKEN, webhook) == [(True, True)]


async def test_a_moment_is_itself_and_a_position_the_moment_at_which_it_was_recorded(
    hooks: Hooks, receiver: Receiver
) -> None:
    webhook, position = await waiting(hooks, receiver), await passes(hooks)
    await hooks.settle()
    ((moment,),) = hooks.run("select clock_timestamp()")
    hooks.run("update rollbook.webhook_deliveries set state = 'dead' where webhook_id = %s", webhook)
    for as_of, state in ((position, "waiting"), (moment.isoformat(), "delivered"), ("-0s", "dead")):
        assert await states(hooks, webhook, as_of) == [state]
        assert (await told(hooks, webhook, as_of)).headers["x-rollbook-position"] == position
    headers = {"X-Organisation": hooks.organisation}
    present = await hooks.rollbook.client.get(f"/v1/webhooks/{webhook}/deliveries", headers=headers)
    assert (present.headers["x-rollbook-position"], "x-rollbook-as-of" in present.headers) == (position, False)


async def test_pages_and_filters_are_of_one_moment(hooks: Hooks, receiver: Receiver) -> None:
    webhook = await waiting(hooks, receiver, 5)
    await hooks.settle()
    await hooks.deploy(version="waits")
    while await hooks.rollbook.app.webhooks.queue.advance():
        pass
    ((moment,),) = hooks.run("select clock_timestamp()")
    for as_of in (await passes(hooks), moment.isoformat()):
        path, seen = f"/v1/webhooks/{webhook}/deliveries?state=delivered&limit=2&as_of={as_of.replace('+', '%2B')}", []
        while path:
            answer = await hooks.rollbook.client.get(path, headers={"X-Organisation": hooks.organisation})
            seen += [one["position"] for one in answer.json()]
            path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
            hooks.run("update rollbook.webhook_deliveries set state = 'dead' where webhook_id = %s", webhook)
        assert seen == sorted((one.told["data"]["position"] for one in receiver.came), reverse=True)
        assert len(await states(hooks, webhook, as_of, state="waiting")) == 1
        assert await states(hooks, webhook, as_of, state="dead") == []


async def test_what_may_be_forgotten_is_refused_and_stays_so(hooks: Hooks, receiver: Receiver) -> None:
    webhook, then = await waiting(hooks, receiver), await passes(hooks)
    await hooks.settle()
    deliveries = hooks.rollbook.app.webhooks.deliveries
    while await deliveries.tidy(timedelta(0), 1):
        pass
    assert hooks.own("*", "delivery_versions") == []
    ((known,),) = hooks.run("select moment from rollbook.webhook_horizons where organisation = ''")
    for kept in (timedelta(0), SEVEN_DAYS):
        await deliveries.tidy(kept, 1000)
        ((known_now,),) = hooks.run("select moment from rollbook.webhook_horizons where organisation = ''")
        since = known_now.astimezone(UTC).isoformat().replace("+00:00", "Z")
        assert f"before {since}" in (await told(hooks, webhook, then, expect=400)).text
        hooks.run("update rollbook.webhook_horizons set moment = %s where organisation = ''", known)
    assert await states(hooks, webhook, await passes(hooks)) == []


async def test_after_a_restore_by_an_older_release_nothing_is_known_until_it_is_looked_after(
    hooks: Hooks, receiver: Receiver
) -> None:
    webhook, then = await waiting(hooks, receiver), await passes(hooks)
    hooks.run("truncate rollbook.webhook_horizons")
    await told(hooks, webhook, then, expect=400)
    await hooks.rollbook.app.webhooks.deliveries.tidy(SEVEN_DAYS, 1000)
    await told(hooks, webhook, then, expect=400)
    assert await states(hooks, webhook, await passes(hooks)) == ["waiting"]


async def test_many_questions_wait_for_a_change_and_leave_room_for_others(hooks: Hooks, receiver: Receiver) -> None:
    webhook = await waiting(hooks, receiver)
    async with await psycopg.AsyncConnection.connect(hooks.database.admin_url) as other:
        change = "update rollbook.webhook_deliveries set state = 'dead' where webhook_id = %s"
        await other.execute(change, [webhook])
        then = await passes(hooks)
        many = [asyncio.create_task(told(hooks, webhook, then)) for _ in range(40)]
        async with asyncio.timeout(30):
            while not hooks.run(WAITS):
                await asyncio.sleep(0.01)
        assert await hooks.deliveries(webhook, state="waiting") != []
        assert len(hooks.run(WAITS)) == 1
        await other.commit()
    assert {answer.json()[0]["state"] for answer in await asyncio.gather(*many)} == {"dead"}


async def test_a_change_under_way_is_waited_for(hooks: Hooks, receiver: Receiver) -> None:
    webhook = await waiting(hooks, receiver)
    async with await psycopg.AsyncConnection.connect(hooks.database.admin_url) as other:
        change = "update rollbook.webhook_deliveries set state = 'dead' where webhook_id = %s"
        await other.execute(change, [webhook])
        then = await passes(hooks)
        asking = asyncio.create_task(told(hooks, webhook, then))
        async with asyncio.timeout(30):
            while not asking.done() and not hooks.run(WAITS):
                await asyncio.sleep(0.01)
        await other.commit()
    first = await asking
    assert [one["state"] for one in first.json()] == ["dead"]
    assert (await told(hooks, webhook, then)).content == first.content


@pytest.mark.faults
async def test_who_never_ends_a_change_holds_nobody_up_for_ever(hooks: Hooks, receiver: Receiver) -> None:
    webhook = await waiting(hooks, receiver)
    async with await psycopg.AsyncConnection.connect(hooks.database.admin_url) as other:
        change = "update rollbook.webhook_deliveries set state = 'dead' where webhook_id = %s"
        await other.execute(change, [webhook])
        await told(hooks, webhook, await passes(hooks), expect=503)


async def test_changes_are_behind_what_was_recorded_also_when_the_clock_was_set_back(
    hooks: Hooks, receiver: Receiver
) -> None:
    webhook = await waiting(hooks, receiver)
    change = "update rollbook.webhook_deliveries set attempts = attempts + 1 where webhook_id = %s"
    with psycopg.connect(hooks.database.admin_url) as other:
        ((ahead,),) = other.execute(IN_AN_HOUR).fetchall()
        for _ in range(3):
            other.execute(change, [webhook])
        query = "select since from rollbook.webhook_delivery_versions where webhook_id = %s order by since"
        moments = [since for (since,) in other.execute(query, [webhook])]
        other.rollback()
    assert moments[0] < ahead
    assert moments[1:] == [ahead + timedelta(microseconds=after) for after in (1, 2, 3)]


async def test_who_reads_for_one_organisation_sees_no_version_of_another(hooks: Hooks, receiver: Receiver) -> None:
    webhook = await waiting(hooks, receiver)
    query = "select distinct organisation from rollbook.webhook_delivery_versions"
    async with hooks.rollbook.app.pools.reading(hooks.organisation) as connection:
        assert await (await connection.execute(query)).fetchall() == [(hooks.organisation,)]
    then, hooks.organisation = await passes(hooks), f"{hooks.organisation}-other"
    await hooks.deploy()
    await told(hooks, webhook, then, expect=404)
    async with hooks.rollbook.app.pools.reading(hooks.organisation) as connection:
        assert await (await connection.execute(query)).fetchall() == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with hooks.rollbook.app.pools.writing(hooks.organisation) as connection:
            await connection.execute("delete from rollbook.webhook_delivery_versions")


async def test_of_an_erased_organisation_nothing_is_left_and_nothing_of_then_is_told(
    hooks: Hooks, receiver: Receiver
) -> None:
    stays, mine = await waiting(hooks, receiver), hooks.organisation
    hooks.organisation = f"{mine}-gone"
    webhook, then = await waiting(hooks, receiver), await passes(hooks)
    assert await states(hooks, webhook, then) == ["waiting"]
    await Operator(hooks.rollbook.app).erase_organisation(hooks.organisation, "They left")
    await hooks.settle()
    assert hooks.own("*", "delivery_versions") == []
    assert "forgotten" in (await told(hooks, webhook, then, expect=400)).text
    hooks.organisation = mine
    assert await states(hooks, stays, then) == ["waiting"]


async def test_a_webhook_that_was_not_there_yet_had_no_deliveries(hooks: Hooks, receiver: Receiver) -> None:
    before = await passes(hooks)
    webhook = await waiting(hooks, receiver)
    await told(hooks, webhook, before, expect=404)
    await told(hooks, str(uuid4()), before, expect=404)
    for impossible in ("9" * 19, "2999-01-01T00:00:00Z", "", "tomorrow"):
        await told(hooks, webhook, impossible, expect=400)
