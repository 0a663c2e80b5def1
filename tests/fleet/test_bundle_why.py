"""A bundle tells why things are as they are where it begins, though what led there happened before."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from adapters.embedded.postgres import EmbeddedPostgres
from tests.fleet.histories import Team
from tests.fleet.test_bundles import made, served, unpacked
from tests.queue.conftest import Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def position(queue: Queue) -> int:
    """How far the organisation's part of the log goes."""
    return int((await queue.ask("GET", "/v1/fleet"))["position"])


async def test_of_lanes_that_the_span_touches_it_tells_why_as_the_store_does(
    queue: Queue, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    staging, _ = await queue.live("1", environment="staging"), await queue.live("2")
    bad = await queue.live("3")
    back = await queue.ask("POST", f"/v1/deployments/{bad['id']}/rollback", 201)
    waiting = await queue.create("5", environment="staging", auto=False)
    first = await position(queue)
    await queue.report(back, "deployed")
    last = await position(queue)
    content = await made(queue, **{"from": str(first)})
    paths = [f"/v1/deployments/{one['id']}/why?" for one in (staging, bad, back, waiting)]
    paths += [f"/v1/lanes/{back['lane_id']}/why?environment={one}&" for one in ("production", "staging")]
    async with served(content, postgres, template, tmp_path) as client:
        for path in [f"{path}as_of={at}" for path in paths for at in (first, last)]:
            await alike(queue, client, path)


async def test_of_other_lanes_and_of_the_whole_log_it_says_that_it_does_not_know(
    queue: Queue, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    other: Any = await queue.live("1", name="till")
    first = await position(queue)
    await queue.live("1")
    content = await made(queue, **{"from": str(first)})
    async with served(content, postgres, template, tmp_path) as client:
        for path in ("/v1/events?from=0&follow=false", "/v1/audit/exports/x/events"):
            answer = await client.get(path, headers=queue.headers)
            assert (answer.status_code, "no whole log" in answer.text) == (404, True), answer.text
        for path in (f"/v1/deployments/{other['id']}/why", f"/v1/lanes/{other['lane_id']}/why"):
            answer = await client.get(path, headers=queue.headers)
            assert (answer.status_code, "its span touches" in answer.text) == (404, True), answer.text


async def alike(queue: Queue, client: httpx2.AsyncClient, path: str) -> None:
    """A bundle answers as the store does, byte for byte."""
    original = await queue.client.get(path, headers=queue.headers)
    copy = await client.get(path, headers=queue.headers)
    assert (original.status_code, copy.content) == (200, original.content), path


async def test_of_some_lanes_it_tells_why_as_the_store_did_and_says_of_others_that_they_are_not_here(
    queue: Queue, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    team = Team(queue, 11)
    await team.live(20)
    first = team.positions[-1]
    await team.live(25)
    other = await queue.live("9", name="mail")
    last = await position(queue)
    everything = await queue.ask("GET", f"/v1/deployments?limit=1000&as_of={last}")
    content = await made(queue, **{"from": str(first), "to": str(last), "lanes": ["shop", "till"]})
    assert other["id"].encode() not in unpacked(content)
    await team.live(5)
    held = {one["id"]: one["lane_id"] for one in everything if one["name"] in ("shop", "till")}
    async with served(content, postgres, template, tmp_path) as client:
        known = [one for one in held if f"deployment-{one}".encode() in unpacked(content)]
        assert len(known) > 5
        for one in known:
            await alike(queue, client, f"/v1/deployments/{one}/why?as_of={last}")
        for lane in set(held.values()):
            for environment in ("", "environment=production&", "environment=staging&"):
                await alike(queue, client, f"/v1/lanes/{lane}/why?{environment}as_of={last}")
        for path in (f"/v1/deployments/{other['id']}/why", f"/v1/lanes/{other['lane_id']}/why"):
            refused = await client.get(f"{path}?as_of={last}", headers=queue.headers)
            assert (refused.status_code, "not found" in refused.json()["detail"]) == (404, True)


async def test_it_tells_which_rollback_keeps_something_back_though_that_is_not_live_any_more(
    queue: Queue, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    await queue.live("1")
    bad = await queue.live("2")
    back = await queue.ask("POST", f"/v1/deployments/{bad['id']}/rollback", 201)
    await queue.report(back, "deployed")
    await queue.live("3")
    waiting = await queue.create("2", auto=True)
    first = await position(queue)
    await queue.create("4", environment="staging")
    last = await position(queue)
    path = f"/v1/deployments/{waiting['id']}/why?as_of={last}"
    assert back["id"] in (await queue.client.get(path, headers=queue.headers)).text
    for lanes in ([], ["shop"]):
        content = await made(queue, **{"from": str(first), "to": str(last), "lanes": lanes})
        async with served(content, postgres, template, tmp_path) as client:
            await alike(queue, client, path)
