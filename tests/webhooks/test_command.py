"""`rollbook webhook` against a real server."""

import asyncio
import json
from typing import Any

import pytest

from tests.cli.stand_in import Ended, rollbook
from tests.webhooks.conftest import Hooks
from tests.webhooks.receiver import Receiver, answered

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def webhook(hooks: Hooks, *arguments: str) -> Ended:
    """What the command says."""
    place = {"API_URL": hooks.rollbook.url, "ORG": hooks.organisation}
    return await asyncio.to_thread(rollbook, "webhook", *arguments, **place)


async def as_json(hooks: Hooks, *arguments: str) -> Any:
    """What the command says to programs."""
    ended = await webhook(hooks, *arguments, "--json")
    return json.loads(ended.out)


async def test_a_webhook_lives_from_add_to_remove(hooks: Hooks, receiver: Receiver) -> None:
    url = receiver.url("/hush-hush")
    added = await webhook(hooks, "add", "on-call", "--url", url, "--topic", "deployment.*", "--env", "production")
    assert (added.code, added.out.startswith("whsec_")) == (0, True)
    (one,) = await as_json(hooks, "list")
    assert one["filters"] == {"topics": ["deployment.*"], "environments": ["production"]}
    listed = await webhook(hooks, "list")
    assert "topics=deployment.* environments=production" in listed.out
    changed = await webhook(hooks, "change", one["id"], "--title", "other", "--all")
    assert "everything" in changed.out
    for command, status in (("pause", "paused"), ("resume", "active")):
        assert (await as_json(hooks, command, one["id"]))["status"] == status
    rotated = await webhook(hooks, "rotate-secret", one["id"])
    assert rotated.out.startswith("whsec_") and rotated.out != added.out
    shown = await webhook(hooks, "show", one["id"])
    removed = await webhook(hooks, "remove", one["id"])
    assert (removed.code, removed.err.strip()) == (0, "other is removed")
    assert (await webhook(hooks, "test", one["id"])).code != 0
    for ended in (added, listed, changed, rotated, shown, removed):
        assert "hush" not in ended.out + ended.err


async def test_deliveries_are_listed_and_sent_once_more(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=["deployment.scheduled"])
    await hooks.deploy()
    await hooks.settle()
    (one,) = await as_json(hooks, "deliveries", made["id"], "--state", "delivered")
    assert "deployment.scheduled" in (await webhook(hooks, "deliveries", made["id"])).out
    ((then,),) = hooks.run("select clock_timestamp()")
    for choice in (("--delivery", one["id"]), ("--dead",), (f"--after={hooks.start}",)):
        assert (await webhook(hooks, "replay", made["id"], *choice)).code == 0
    await hooks.settle()
    assert len(receiver.came) == 2
    assert (await webhook(hooks, "replay", made["id"])).code == 2
    (past,) = await as_json(hooks, "deliveries", made["id"], "--as-of", then.isoformat())
    assert (past["id"], past["state"], past["tried_at"]) == (one["id"], "delivered", one["tried_at"])


async def test_a_test_says_whether_the_receiver_takes_it(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url())
    assert (await webhook(hooks, "test", made["id"])).code == 0
    receiver.answers = lambda _: answered(500)
    tried = await webhook(hooks, "test", made["id"])
    assert (tried.code, "answered 500" in tried.err) == (1, True)


async def test_an_address_near_us_is_refused_with_a_reason(hooks: Hooks) -> None:
    refused = await webhook(hooks, "add", "near", "--url", "https://10.0.0.1/")
    assert (refused.code, "not public" in refused.err) == (1, True)
    assert (await webhook(hooks, "add", "nowhere")).code == 2
