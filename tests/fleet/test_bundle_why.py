"""A bundle tells why things are as they are where it begins, though what led there happened before."""

from pathlib import Path
from typing import Any

import pytest

from adapters.embedded.postgres import EmbeddedPostgres
from tests.fleet.test_bundles import made, served
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
            original = await queue.client.get(path, headers=queue.headers)
            copy = await client.get(path, headers=queue.headers)
            assert (original.status_code, copy.content) == (200, original.content), path


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
