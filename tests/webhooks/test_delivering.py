"""Events reach a receiver, in their order and signed, whatever it answers."""

import asyncio
from functools import partial
from typing import Any

import pytest

from entrypoints.workers.webhook_following import WebhookFollowing
from tests.webhooks.conftest import Hooks, delivery_of, working
from tests.webhooks.receiver import Came, Receiver, answered, receiving

pytestmark = pytest.mark.asyncio(loop_scope="session")


def version_of(one: Came) -> Any:
    """The version that a delivery tells of."""
    return one.told["data"]["payload"]["release"]["version"]


def redirected(status: int, elsewhere: Receiver, _: Came) -> bytes:
    """Sends whoever comes somewhere else."""
    return answered(status, location=elsewhere.url())


async def test_what_happens_is_told_in_its_order(hooks: Hooks, receiver: Receiver) -> None:
    async with working(hooks):
        made = await hooks.add(receiver.url())
        for version in ("1", "2", "3"):
            await hooks.deploy(version=version)
        recorded = await hooks.recorded()
        expected = [event for event in recorded if event.topic != "webhook.subscribed"]
        came = await receiver.until(len(expected))
    assert [one.told["data"]["position"] for one in came] == [event.position for event in expected]
    assert all(hooks.signed(made["id"], one) for one in came)
    assert [one.headers["webhook-id"] for one in came] == [str(delivery_of(made["id"], one)) for one in came]


async def test_what_is_sent_is_a_cloud_event_that_holds_what_was_recorded(hooks: Hooks, receiver: Receiver) -> None:
    await hooks.add(receiver.url("/hook?token=1"), topics=["deployment.scheduled"])
    await hooks.deploy()
    await hooks.settle()
    (came,) = receiver.came
    (event,) = [e for e in await hooks.recorded() if e.topic == "deployment.scheduled"]
    assert (came.path, came.headers["content-type"].partition(";")[0]) == (
        "/hook?token=1",
        "application/cloudevents+json",
    )
    around = {name: came.told[name] for name in ("specversion", "id", "source", "type", "subject", "datacontenttype")}
    assert around == {
        "specversion": "1.0",
        "id": str(event.event_id),
        "source": f"/organisations/{hooks.organisation}",
        "type": "rollbook.deployment.scheduled",
        "subject": event.stream_id,
        "datacontenttype": "application/json",
    }
    assert b'"payload":' + event.payload in came.body
    assert came.told["data"]["hash"] == event.hash.hex()


async def test_a_refused_delivery_holds_up_no_other(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    receiver.answers = lambda one: answered(500 if version_of(one) == "1" else 200)
    for version in ("1", "2", "3"):
        await hooks.deploy(version=version)
    await hooks.settle()
    found = await hooks.deliveries(made["id"])
    assert [one["state"] for one in found] == ["delivered", "delivered", "waiting"]
    assert (found[2]["attempts"], found[2]["status"], found[2]["problem"]) == (1, 500, "answered 500")


async def test_without_any_answer_the_rest_waits_and_comes_in_order(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    receiver.answers = lambda _: b"no HTTP at all\r\n\r\n"
    for version in ("1", "2", "3"):
        await hooks.deploy(version=version)
    await hooks.settle()
    assert [one["attempts"] for one in await hooks.deliveries(made["id"])] == [0, 0, 1]
    receiver.answers = lambda _: answered(200)
    hooks.make_due()
    await hooks.settle()
    assert [version_of(one) for one in receiver.came] == ["1", "1", "2", "3"]
    assert {one["state"] for one in await hooks.deliveries(made["id"])} == {"delivered"}


async def test_a_redirect_is_a_failure_and_is_not_followed(hooks: Hooks, receiver: Receiver) -> None:
    async with receiving() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            receiver.answers = partial(redirected, status, elsewhere)
            made = await hooks.add(receiver.url(), topics=["webhook.changed"])
            await hooks.ask("PATCH", f"/{made['id']}", json={"name": "other"})
            await hooks.settle()
            (found,) = await hooks.deliveries(made["id"])
            assert (found["state"], found["status"], found["problem"]) == ("waiting", status, f"answered {status}")
            await hooks.ask("DELETE", f"/{made['id']}")
        assert elsewhere.came == []


async def test_a_slow_receiver_holds_up_no_other(hooks: Hooks, receiver: Receiver) -> None:
    async with receiving() as slow, working(hooks):
        slow.answers = lambda _: None
        for _ in range(3):
            await hooks.add(slow.url(), topics=["deployment.scheduled"])
        await hooks.add(receiver.url(), topics=["deployment.scheduled"])
        await hooks.deploy(version="1")
        await slow.until(3)
        for version in ("2", "3", "4"):
            await hooks.deploy(version=version)
        came = await receiver.until(4)
        assert [version_of(one) for one in came] == ["1", "2", "3", "4"]


async def test_an_organisation_leaves_room_for_others(hooks: Hooks, receiver: Receiver) -> None:
    for _ in range(6):
        await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    await hooks.deploy()
    mine = hooks.organisation
    hooks.organisation = f"{mine}-other"
    await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    await hooks.deploy()
    while await hooks.rollbook.app.webhooks.queue.advance():
        pass
    taken = [await hooks.rollbook.app.webhooks.deliveries.take() for _ in range(7)]
    assert sorted(one.organisation for one in taken if one) == [mine] * 4 + [f"{mine}-other"]


async def test_an_endless_answer_is_not_read(hooks: Hooks, receiver: Receiver) -> None:
    receiver.answers = lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + b"x" * 5000
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    await hooks.deploy()
    await hooks.settle()
    assert [one["state"] for one in await hooks.deliveries(made["id"])] == ["delivered"]


async def test_several_followers_write_each_stretch_of_the_log_once(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    for number in range(20):
        await hooks.deploy(version=str(number))
    followers = [WebhookFollowing(hooks.rollbook.app).queue for _ in range(4)]
    while any(await asyncio.gather(*(one.advance() for one in followers))):
        pass
    assert len(await hooks.deliveries(made["id"])) == 20


async def test_who_was_cut_off_after_sending_sends_again_under_the_same_id(hooks: Hooks, receiver: Receiver) -> None:
    receiver.answers = lambda _: None
    await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    await hooks.deploy()
    async with working(hooks):
        await receiver.until(1)
    receiver.answers = lambda _: answered(200)
    hooks.make_due()
    await hooks.settle()
    assert len(receiver.came) == 2
    assert len({one.headers["webhook-id"] for one in receiver.came}) == 1


async def test_whoever_takes_a_webhook_has_it_alone(hooks: Hooks, receiver: Receiver) -> None:
    await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    await hooks.deploy()
    deliveries = hooks.rollbook.app.webhooks.deliveries
    while await hooks.rollbook.app.webhooks.queue.advance():
        pass
    taken = await asyncio.gather(*(deliveries.take() for _ in range(3)))
    assert len([one for one in taken if one]) == 1
