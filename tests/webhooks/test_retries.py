"""What is refused is tried again for a day, then kept for being sent once more; who refuses all is paused."""

import pytest

from entrypoints.workers.webhook_following import WebhookFollowing
from tests.webhooks.conftest import Hooks
from tests.webhooks.receiver import Receiver, answered

pytestmark = pytest.mark.asyncio(loop_scope="session")


ONE = ["deployment.scheduled"]


async def refused(hooks: Hooks, receiver: Receiver, status: int = 503) -> str:
    """A webhook whose one delivery was refused once."""
    receiver.answers = lambda _: answered(status)
    made = await hooks.add(receiver.url(), topics=ONE)
    await hooks.deploy()
    await hooks.settle()
    return str(made["id"])


async def test_a_refused_delivery_is_due_again_later_each_time(hooks: Hooks, receiver: Receiver) -> None:
    webhook = await refused(hooks, receiver)
    waits = []
    for _ in range(3):
        waits.append(hooks.own("extract(epoch from due_at - tried_at)::float8", "deliveries")[0][0])
        await hooks.settle()
        hooks.make_due()
        await hooks.settle()
    assert len(receiver.came) == 4
    assert [4 <= waits[0] <= 6.1, 16 <= waits[1] <= 24.1, 64 <= waits[2] <= 96.1] == [True] * 3
    assert (await hooks.deliveries(webhook))[0]["attempts"] == 4


async def test_a_receiver_that_asks_for_a_pause_gets_it(hooks: Hooks, receiver: Receiver) -> None:
    receiver.answers = lambda _: answered(429, retry_after="3600")
    await hooks.add(receiver.url(), topics=ONE)
    await hooks.deploy()
    await hooks.settle()
    assert hooks.own("due_at - tried_at >= interval '59 minutes'", "deliveries") == [(True,)]


async def dead(hooks: Hooks, receiver: Receiver) -> str:
    """A webhook whose one delivery was given up after a day."""
    webhook = await refused(hooks, receiver)
    hooks.run("update rollbook.webhook_deliveries set first_tried_at = first_tried_at - interval '24 hours'")
    hooks.make_due()
    await hooks.settle()
    return webhook


async def test_what_was_refused_for_a_day_is_given_up_and_can_be_sent_once_more(
    hooks: Hooks, receiver: Receiver
) -> None:
    webhook = await dead(hooks, receiver)
    (found,) = await hooks.deliveries(webhook, state="dead")
    assert (found["attempts"], found["problem"]) == (2, "answered 503")
    hooks.make_due()
    await hooks.settle()
    assert len(receiver.came) == 2
    receiver.answers = lambda _: answered(200)
    assert await hooks.ask("POST", f"/{webhook}/replay", json={"state": "dead"}) == {"deliveries": 1, "after": None}
    await hooks.settle()
    assert await hooks.deliveries(webhook, state="dead") == []
    assert {one.headers["webhook-id"] for one in receiver.came} == {found["id"]}


async def test_one_delivery_can_be_sent_once_more_whatever_became_of_it(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=ONE)
    for version in ("1", "2"):
        await hooks.deploy(version=version)
    await hooks.settle()
    wanted = (await hooks.deliveries(made["id"]))[1]["id"]
    again = await hooks.ask("POST", f"/{made['id']}/deliveries/{wanted}/replay")
    assert (again["id"], again["state"]) == (wanted, "waiting")
    await hooks.settle()
    assert [one.headers["webhook-id"] == wanted for one in receiver.came] == [True, False, True]
    await hooks.ask("POST", f"/{made['id']}/deliveries/{made['id']}/replay", expect=404)


async def test_everything_after_a_position_can_be_told_once_more(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=ONE)
    for version in ("1", "2", "3"):
        await hooks.deploy(version=version)
    await hooks.settle()
    first = receiver.came[0].told["data"]["position"]
    assert await hooks.ask("POST", f"/{made['id']}/replay", json={"after": str(first)}) == {
        "deliveries": None,
        "after": first,
    }
    await hooks.deploy(version="4")
    await hooks.settle()
    told = [one.told["data"]["payload"]["release"]["version"] for one in receiver.came]
    assert told == ["1", "2", "3", "2", "3", "4"]


async def test_what_happened_before_a_webhook_can_be_told_to_it(hooks: Hooks, receiver: Receiver) -> None:
    await hooks.deploy(version="old")
    made = await hooks.add(receiver.url(), topics=ONE)
    await hooks.settle()
    assert receiver.came == []
    await hooks.ask("POST", f"/{made['id']}/replay", json={"after": str(hooks.start)})
    await hooks.settle()
    assert len(receiver.came) == 1


async def test_a_webhook_that_nobody_follows_yet_is_asked_for_again(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url())
    await hooks.ask("POST", f"/{made['id']}/replay", json={"after": "0"}, expect=503)
    for body in ({}, {"state": "dead", "after": "0"}, {"after": "nonsense"}):
        await hooks.ask("POST", f"/{made['id']}/replay", json=body, expect=400)


async def test_a_receiver_that_is_gone_is_paused_by_rule(hooks: Hooks, receiver: Receiver) -> None:
    webhook = await refused(hooks, receiver, 410)
    shown = await hooks.ask("GET", f"/{webhook}")
    assert (shown["status"], shown["paused_rule"]) == ("paused", "receiver-gone")
    paused = (await hooks.recorded())[-1]
    assert (paused.topic, paused.envelope["decision"]["rule"]) == ("webhook.paused", "receiver-gone")
    hooks.make_due()
    await hooks.settle()
    assert len(receiver.came) == 1


async def test_a_webhook_to_which_nothing_was_delivered_for_days_is_paused_by_rule(
    hooks: Hooks, receiver: Receiver
) -> None:
    webhook = await refused(hooks, receiver)
    hooks.run("update rollbook.webhook_followers set failing_since = failing_since - interval '73 hours'")
    hooks.make_due()
    await hooks.settle()
    shown = await hooks.ask("GET", f"/{webhook}")
    assert (shown["status"], shown["paused_rule"]) == ("paused", "nothing-delivered")


async def test_one_success_forgets_the_failures_before_it(hooks: Hooks, receiver: Receiver) -> None:
    await refused(hooks, receiver)
    receiver.answers = lambda _: answered(200)
    hooks.make_due()
    await hooks.settle()
    assert hooks.own("failing_since, failures", "followers") == [(None, 0)]


async def test_what_happens_during_a_pause_is_told_after_it_in_order(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=ONE)
    await hooks.deploy(version="1")
    await hooks.settle()
    await hooks.ask("POST", f"/{made['id']}/pause", json={"reason": "maintenance"})
    for version in ("2", "3"):
        await hooks.deploy(version=version)
        await hooks.settle()
    assert (len(receiver.came), len(await hooks.deliveries(made["id"]))) == (1, 1)
    await hooks.ask("POST", f"/{made['id']}/resume")
    await hooks.deploy(version="4")
    await hooks.settle()
    told = [one.told["data"]["payload"]["release"]["version"] for one in receiver.came]
    assert told == ["1", "2", "3", "4"]


async def test_a_webhook_that_does_not_keep_up_falls_behind_and_loses_nothing(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres.webhook_queue.MOST_WAITING", 2)
    made = await hooks.add(receiver.url(), topics=ONE)
    queue = hooks.rollbook.app.webhooks.queue
    for number in range(4):
        await hooks.deploy(version=str(number))
    while await queue.advance():
        pass
    await queue.hold_back()
    for number in range(4, 8):
        await hooks.deploy(version=str(number))
    while await queue.advance() + await queue.catch_up():
        pass
    assert len(await hooks.deliveries(made["id"])) == 4
    await hooks.settle()
    await hooks.settle()
    told = [one.told["data"]["payload"]["release"]["version"] for one in receiver.came]
    assert told == list("01234567")


async def test_what_was_delivered_is_forgotten_after_some_days(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=ONE)
    for version in ("1", "2"):
        await hooks.deploy(version=version)
    await hooks.settle()
    first = receiver.came[0].told["data"]["position"]
    hooks.run(
        "update rollbook.webhook_deliveries set tried_at = tried_at - interval '8 days' where position = %s", first
    )
    await WebhookFollowing(hooks.rollbook.app).tidy()
    assert len(await hooks.deliveries(made["id"])) == 1
