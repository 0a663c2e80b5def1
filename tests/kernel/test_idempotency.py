"""An Idempotency-Key stands for one command: it happens once, and is answered the same ever after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from entrypoints.workers.housekeeping import Housekeeping
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.queue.conftest import ACME, LANE, Queue

BODY = {**LANE, "version": "1", "environment": "production", "type": "k8s"}


@pytest.fixture
async def two(database: Database, tmp_path: Path) -> AsyncIterator[tuple[Running, Running]]:
    """Two Rollbooks on one database, which know nothing of each other."""
    async with AsyncExitStack() as stack:
        settings = settings_for(tmp_path)
        first = await stack.enter_async_context(running_rollbook(settings, database))
        yield first, await stack.enter_async_context(running_rollbook(settings, database))


async def send(running: Running, method: str, path: str, key: str, body: Any, organisation: str = "acme") -> Any:
    """One request under a key."""
    headers = {"X-Organisation": organisation, "Idempotency-Key": key}
    return await running.client.request(method, path, json=body, headers=headers)


def same(first: httpx2.Response, again: httpx2.Response) -> None:
    """Both answers say the same, to the byte."""
    assert again.status_code == first.status_code < 300, again.text
    assert again.content == first.content
    for name in ("etag", "x-rollbook-position", "content-type"):
        assert again.headers.get(name) == first.headers.get(name)


def length(database: Database) -> int:
    """How many events the log holds."""
    with psycopg.connect(database.admin_url) as admin:
        row = admin.execute("select count(*) from rollbook.events").fetchone()
    return int(row[0]) if row else 0


async def test_a_key_that_comes_again_answers_the_same_wherever_and_whenever(
    database: Database, tmp_path: Path, two: tuple[Running, Running]
) -> None:
    here, there = two
    first = await send(here, "POST", "/v1/deployments", "k", BODY)
    same(first, await send(there, "POST", "/v1/deployments", "k", BODY))
    await Queue(there.client).report(first.json(), "deployed")
    changed = length(database)
    same(first, await send(here, "POST", "/v1/deployments", "k", BODY))
    async with running_rollbook(settings_for(tmp_path), database) as restarted:
        same(first, await send(restarted, "POST", "/v1/deployments", "k", BODY))
    assert length(database) == changed


async def test_twins_in_flight_happen_once(database: Database, two: tuple[Running, Running]) -> None:
    answers = await asyncio.gather(*(send(two[n % 2], "POST", "/v1/deployments", "k", BODY) for n in range(12)))
    for answer in answers:
        same(answers[0], answer)
    assert len(await Queue(two[0].client).ask("GET", "/v1/deployments")) == 1


async def test_each_kind_of_command_happens_once_under_its_key(
    database: Database, two: tuple[Running, Running]
) -> None:
    queue = Queue(two[0].client)
    await queue.ask("PUT", "/v1/rules", json={"approval": [{"scope": {"environment": "staging"}}]})
    before, live = await queue.live("1"), await queue.live("2")
    waiting = await queue.create("3", environment="staging", auto=False, cell="c")
    await queue.create("4")
    lanes = {"lanes": [LANE], "runner": "r"}
    one = f"/v1/deployments/{waiting['id']}"
    commands: list[tuple[str, str, Any]] = [
        ("PATCH", one, {"notes": "look"}),
        ("POST", "/v1/deployments/claim", lanes),
        ("POST", f"/v1/deployments/{live['id']}/rollback?target_version={before['version']}", None),
        ("POST", "/v1/freezes", {"scope": {"name": "other"}, "reason": "sale"}),
        ("POST", "/v1/lanes/release", {**LANE, "reason": "fine"}),
        ("PATCH", one, {"status": "cancelled"}),
    ]
    for number, (method, path, body) in enumerate(commands):
        first = await send(two[0], method, path, f"k{number}", body)
        assert first.status_code < 300, (path, first.text)
        length_then = length(database)
        same(first, await send(two[1], method, path, f"k{number}", body))
        assert length(database) == length_then


async def test_another_request_under_a_key_is_refused_and_changes_nothing(two: tuple[Running, Running]) -> None:
    await send(two[0], "POST", "/v1/deployments", "k", BODY)
    for running in two:
        refused = await send(running, "POST", "/v1/deployments", "k", {**BODY, "version": "2"})
        assert (refused.status_code, refused.headers["x-error-code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(await Queue(two[0].client).ask("GET", "/v1/deployments")) == 1


async def test_a_key_counts_for_its_organisation_method_and_path(two: tuple[Running, Running]) -> None:
    mine = (await send(two[0], "POST", "/v1/deployments", "k", BODY)).json()
    theirs = (await send(two[1], "POST", "/v1/deployments", "k", BODY, "other")).json()
    assert mine["id"] != theirs["id"]
    noted = await send(two[1], "PATCH", f"/v1/deployments/{mine['id']}", "k", {"notes": "mine"})
    assert (noted.status_code, noted.json()["notes"]) == (200, "mine")


async def test_a_key_whose_command_was_refused_is_free(two: tuple[Running, Running]) -> None:
    path = "/v1/deployments/rollback?name=shop&provider=gcp&cloud_account_id=account&region=eu"
    assert (await send(two[0], "POST", path, "k", None)).status_code == 404
    for version in ("1", "2"):
        await Queue(two[0].client).live(version)
    assert (await send(two[1], "POST", path, "k", None)).status_code == 201


@pytest.mark.parametrize(("days", "kept"), [("6 days 23 hours", True), ("7 days 1 hour", False)])
async def test_a_key_is_kept_for_seven_days(rollbook: Running, database: Database, days: str, kept: bool) -> None:
    first = await send(rollbook, "POST", "/v1/deployments", "k", BODY)
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(f"update rollbook.commands set recorded_at = recorded_at - interval '{days}'".encode())
    await Housekeeping(rollbook.app).forget_commands()
    again = await send(rollbook, "POST", "/v1/deployments", "k", BODY)
    assert (again.json()["id"] == first.json()["id"]) is kept
    assert len((await rollbook.client.get("/v1/deployments", headers=ACME)).json()) == (1 if kept else 2)


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_a_length(rollbook: Running, key: str) -> None:
    assert (await send(rollbook, "POST", "/v1/deployments", key, BODY)).status_code == 400
