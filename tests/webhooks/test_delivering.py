"""Events reach a receiver, in their order, signed, each at least once, whoever is killed, away or slow meanwhile."""

from tests.webhooks.conftest import Hooks, delivery_of, working
from tests.webhooks.receiver import Receiver, answered


async def test_what_happens_is_told_in_its_order(hooks: Hooks, receiver: Receiver) -> None:
    async with working(hooks):
        made = await hooks.add(receiver.url())
        for version in ("1", "2", "3"):
            await hooks.deploy(version=version)
        recorded = await hooks.rollbook.app.log.read_after(0, 100)
        expected = [event for event in recorded if event.topic != "webhook.subscribed"]
        came = await receiver.until(len(expected))
    assert [one.told["data"]["position"] for one in came] == [event.position for event in expected]
    assert all(hooks.signed(made["id"], one) for one in came)
    assert [one.headers["webhook-id"] for one in came] == [str(delivery_of(made["id"], one)) for one in came]


async def test_a_refused_delivery_holds_up_no_other(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    receiver.answers = lambda one: answered(500 if one.told["data"]["payload"]["release"]["version"] == "1" else 200)
    for version in ("1", "2", "3"):
        await hooks.deploy(version=version)
    await hooks.settle()
    found = await hooks.deliveries(made["id"])
    assert [one["state"] for one in found] == ["delivered", "delivered", "waiting"]
    assert (found[2]["attempts"], found[2]["status"], found[2]["problem"]) == (1, 500, "answered 500")
