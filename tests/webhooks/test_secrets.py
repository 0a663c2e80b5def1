"""Addresses and secrets are kept sealed and are in no event, no answer and no line of a log; rotated, two sign."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.postgres import webhook_endpoints
from entrypoints.operator import Operator
from tests.webhooks.conftest import Hooks
from tests.webhooks.receiver import Receiver, answered

pytestmark = pytest.mark.asyncio(loop_scope="session")
PATH = "/services/T000/hush-hush"
ONE = ["deployment.scheduled"]


def everything(hooks: Hooks) -> str:
    """All that the database holds, as text."""
    found: list[Any] = []
    for (name,) in hooks.run("select oid::regclass::text from pg_class where relkind = 'r' and relname !~ '^pg_'"):
        if name.startswith("rollbook"):
            found += hooks.run(f"select t::text from {name} t")
            found += hooks.run(f"select convert_from(payload, 'utf8') from {name}") if "events_" in name else []
    return str(found)


async def test_neither_address_nor_secret_is_anywhere_in_clear(hooks: Hooks, receiver: Receiver) -> None:
    receiver.answers = lambda _: answered(500)
    with capture_logs() as lines:
        made = await hooks.add(receiver.url(PATH), topics=ONE)
        changed = await hooks.ask("PATCH", f"/{made['id']}", json={"url": receiver.url(PATH + "-2")})
        await hooks.deploy()
        await hooks.settle()
        told = [changed, await hooks.ask("GET"), await hooks.deliveries(made["id"])]
        told += [await hooks.ask("POST", f"/{made['id']}/test"), await hooks.ask("GET", f"/{made['id']}")]
    assert receiver.came[0].path == PATH + "-2"
    assert made["host"] == f"127.0.0.1:{receiver.port}"
    secret = made["secret"].removeprefix("whsec_")
    for text in (str(told), str(lines), everything(hooks)):
        assert "hush" not in text
        assert secret not in text
    assert made["id"] in everything(hooks)


async def test_a_secret_is_shown_once(hooks: Hooks, receiver: Receiver) -> None:
    headers, body = {"Idempotency-Key": "once"}, {"name": "hook", "url": receiver.url()}
    first = await hooks.ask("POST", expect=201, json=body, headers=headers)
    again = await hooks.ask("POST", expect=201, json=body, headers=headers)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", first["secret"])
    assert (again["id"], again["secret"]) == (first["id"], None)
    kept = "select webhook_id::text from rollbook.webhook_endpoints where organisation = %s"
    assert hooks.run(kept, hooks.organisation) == [(first["id"],)]


async def test_for_a_day_after_its_rotation_the_old_secret_signs_too(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=ONE)
    rotated = await hooks.ask("POST", f"/{made['id']}/rotate-secret")
    assert rotated["secret"] != made["secret"]
    await hooks.deploy(version="1")
    await hooks.settle()
    query = """update rollbook.webhook_endpoints set previous_until = previous_until - interval '24 hours'
                where organisation = %s"""
    hooks.run(query, hooks.organisation)
    await hooks.deploy(version="2")
    await hooks.settle()
    both, one = receiver.came
    assert hooks.signed(made["id"], both) and hooks.signed(made["id"], both, rotated["secret"])
    assert not hooks.signed(made["id"], one) and hooks.signed(made["id"], one, rotated["secret"])
    assert (await hooks.ask("GET", f"/{made['id']}"))["secret_rotated_at"]


async def test_a_removed_webhook_leaves_no_address_and_nothing_that_waits(hooks: Hooks, receiver: Receiver) -> None:
    receiver.answers = lambda _: answered(500)
    made = await hooks.add(receiver.url(), topics=ONE)
    await hooks.deploy()
    await hooks.settle()
    await hooks.ask("DELETE", f"/{made['id']}")
    await hooks.deploy(version="2")
    await hooks.settle()
    for name in ("endpoints", "followers", "deliveries"):
        query = f"select count(*) from rollbook.webhook_{name} where organisation = %s"
        assert hooks.run(query, hooks.organisation) == [(0,)]
    assert len(receiver.came) == 1


async def test_an_erased_organisation_is_told_nothing_more(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=ONE)
    await hooks.deploy(version="1")
    while await hooks.rollbook.app.webhooks.queue.advance():
        pass
    sealed = hooks.run("select * from rollbook.webhook_endpoints where webhook_id = %s", made["id"])
    await Operator(hooks.rollbook.app).erase_organisation(hooks.organisation, "They asked for it")
    assert sealed
    assert await hooks.rollbook.app.webhooks.endpoints.find(hooks.organisation, UUID(made["id"])) is None
    await hooks.settle()
    assert receiver.came == []
    assert not hooks.run("select * from rollbook.webhook_endpoints where webhook_id = %s", made["id"])


async def test_a_webhook_whose_address_cannot_be_opened_is_paused_by_rule(hooks: Hooks, receiver: Receiver) -> None:
    made = await hooks.add(receiver.url(), topics=ONE)
    hooks.run("update rollbook.webhook_endpoints set sealed_url = sealed_secret where webhook_id = %s", made["id"])
    await hooks.deploy()
    await hooks.settle()
    shown = await hooks.ask("GET", f"/{made['id']}")
    assert (shown["status"], shown["paused_rule"]) == ("paused", "address-unreadable")
    assert (await hooks.ask("POST", f"/{made['id']}/test"))["ok"] is False


async def test_an_address_that_nobody_subscribed_with_is_forgotten(hooks: Hooks, receiver: Receiver) -> None:
    endpoints, lost = hooks.rollbook.app.webhooks.endpoints, UUID(int=7)
    for _ in range(2):
        await endpoints.keep(hooks.organisation, lost, receiver.url(), "whsec_AAAA")
    await hooks.deploy()
    await hooks.settle()
    await endpoints.forget_left()
    assert await endpoints.find(hooks.organisation, lost)
    hooks.run("update rollbook.webhook_endpoints set kept_at = kept_at - interval '1 hour' where webhook_id = %s", lost)
    await endpoints.forget_left()
    assert await endpoints.find(hooks.organisation, lost) is None


async def test_who_subscribed_while_nobody_followed_is_not_forgotten(
    hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_endpoints, "LEFT", timedelta(0))
    await hooks.deploy()
    await hooks.settle()
    await hooks.add(receiver.url(), topics=ONE)
    await hooks.rollbook.app.webhooks.endpoints.forget_left()
    await hooks.deploy(version="2")
    await hooks.settle()
    assert len(receiver.came) == 1


@pytest.mark.parametrize("role", ["rollbook_reader", "rollbook_projector"])
async def test_who_reads_or_projects_cannot_see_what_is_sealed(hooks: Hooks, role: str) -> None:
    with psycopg.connect(hooks.database.app_url) as client:
        client.execute(f"set role {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            client.execute("select sealed_url from rollbook.webhook_endpoints")
