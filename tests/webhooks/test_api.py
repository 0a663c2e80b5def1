"""Webhooks through their routes: what they show, what they refuse, and what they were."""

from typing import Any

import pytest

from tests.webhooks.conftest import Hooks
from tests.webhooks.receiver import Receiver, answered

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_webhook_lives_from_its_subscription_to_its_removal(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.*"], names=[])
    one = f"/{made['id']}"
    assert (made["status"], made["filters"]) == ("active", {"topics": ["deployment.*"]})
    assert (await hooks.ask("PATCH", one, json={"name": "other"}))["name"] == "other"
    paused = await hooks.ask("POST", f"{one}/pause", json={"reason": "maintenance"})
    assert (paused["status"], paused["paused_reason"], paused["paused_rule"]) == ("paused", "maintenance", None)
    await hooks.ask("POST", f"{one}/pause", json={}, expect=409)
    assert (await hooks.ask("POST", f"{one}/resume"))["status"] == "active"
    await hooks.ask("POST", f"{one}/resume", expect=409)
    assert (await hooks.ask("DELETE", one))["status"] == "removed"
    assert await hooks.ask("GET") == []
    assert [found["id"] for found in await hooks.ask("GET", params={"status": "removed"})] == [made["id"]]
    for method, path, body in (
        ("PATCH", one, {"name": "x"}),
        ("DELETE", one, None),
        ("POST", f"{one}/pause", {}),
        ("POST", f"{one}/rotate-secret", None),
        ("POST", f"{one}/test", None),
        ("POST", f"{one}/replay", {"state": "dead"}),
    ):
        await hooks.ask(method, path, expect=410, json=body)


async def test_what_webhooks_were_can_be_asked(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url())
    then = str(await hooks.rollbook.app.log.head())
    await hooks.ask("POST", f"/{made['id']}/pause", json={})
    await hooks.ask("DELETE", f"/{made['id']}")
    assert [one["status"] for one in await hooks.ask("GET", params={"as_of": then})] == ["active"]
    assert (await hooks.ask("GET", f"/{made['id']}", params={"as_of": then}))["status"] == "active"
    await hooks.ask("GET", f"/{made['id']}", params={"as_of": str(hooks.start)}, expect=404)


@pytest.mark.parametrize(
    "url",
    [
        *("https://localhost/", "https://169.254.169.254/latest/meta-data", "https://[::1]/", "https://10.0.0.1/"),
        *("https://[::ffff:7f00:1]:80/", "https://2130706433/", "https://0/", "ftp://hooks.test/", "https://a@b.test/"),
        "https://no-such-name.invalid/",
    ],
)
async def test_an_address_near_us_is_refused_at_once(url: str, quiet: Any) -> None:
    head = await quiet.app.log.head()
    answer = await quiet.client.post("/v1/webhooks", json={"name": "hook", "url": url})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("url ")
    assert await quiet.app.log.head() == head


async def test_a_webhook_is_not_moved_near_us_later(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url())
    await hooks.ask("PATCH", f"/{made['id']}", json={"url": "https://10.0.0.1/"}, expect=400)
    await hooks.ask("PATCH", f"/{made['id']}", json={}, expect=400)


async def test_a_network_that_is_listed_no_more_is_not_reached(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    await hooks.deploy()
    monkeypatch.setattr(hooks.rollbook.app.webhooks.sending.addresses, "listed", ())
    await hooks.settle()
    (found,) = await hooks.deliveries(made["id"])
    assert (found["state"], found["problem"]) == ("waiting", "the host has an address that is not public")
    assert receiver.came == []


async def test_a_ping_says_what_the_receiver_answers(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url())
    tried = await hooks.ask("POST", f"/{made['id']}/test")
    assert (tried["ok"], tried["status"], tried["problem"]) == (True, 204, None)
    (came,) = receiver.came
    assert (came.told["type"], came.told["data"]) == ("rollbook.webhook.ping", {"webhook": made["id"]})
    assert hooks.signed(made["id"], came)
    receiver.answers = lambda _: answered(401)
    tried = await hooks.ask("POST", f"/{made['id']}/test")
    assert (tried["ok"], tried["status"], tried["problem"]) == (False, 401, "answered 401")


async def test_deliveries_are_listed_page_by_page(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    for number in range(5):
        await hooks.deploy(version=str(number))
    await hooks.settle()
    path, seen = f"/v1/webhooks/{made['id']}/deliveries?limit=2", []
    while path:
        answer = await hooks.rollbook.client.get(path, headers={"X-Organisation": hooks.organisation})
        seen += [one["position"] for one in answer.json()]
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert seen == sorted((one.told["data"]["position"] for one in receiver.came), reverse=True)


async def test_an_organisation_sees_and_changes_only_its_own(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    await hooks.deploy()
    await hooks.settle()
    (delivery,) = await hooks.deliveries(made["id"])
    hooks.organisation = f"{hooks.organisation}-other"
    await hooks.deploy()
    await hooks.settle()
    assert len(receiver.came) == 1
    assert await hooks.ask("GET") == []
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("GET", "/deliveries", None),
        ("POST", "/test", None),
        ("POST", "/replay", {"state": "dead"}),
        ("POST", "/replay", {"after": "0"}),
        ("POST", f"/deliveries/{delivery['id']}/replay", None),
    ):
        await hooks.ask(method, f"/{made['id']}{path}", expect=404, json=body)
    own = await hooks.add(receiver.url())
    await hooks.ask("POST", f"/{own['id']}/deliveries/{delivery['id']}/replay", expect=404)


async def test_no_more_than_a_hundred_webhooks_fit(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrypoints.http.webhooks.MOST", 2)
    for _ in range(2):
        made = await hooks.add(receiver.url())
    await hooks.add(receiver.url(), expect=409)
    await hooks.ask("DELETE", f"/{made['id']}")
    await hooks.add(receiver.url())
