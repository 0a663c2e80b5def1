"""`rollbook why` at a real Rollbook: an indented story of a deployment, or of what is live in a lane."""

import asyncio

import pytest
import pytest_asyncio

from tests.cli.stand_in import Ended, rollbook
from tests.conftest import Running
from tests.queue.conftest import Queue
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def queue(quiet: Running) -> Queue:
    return Queue(quiet.client, own_organisation())


async def run(quiet: Running, queue: Queue, *arguments: str, code: int = 0) -> Ended:
    """One command line."""
    environment = {"API_URL": quiet.url, "ORG": queue.organisation}
    ended = await asyncio.to_thread(rollbook, "why", *arguments, **environment)
    assert ended.code == code, ended
    return ended


async def test_a_deployments_story_names_the_reason_its_rule_and_each_event(quiet: Running, queue: Queue) -> None:
    older = await queue.create("1.0", commit_sha="4f2a")
    newer = await queue.live("1.1")
    lines = (await run(quiet, queue, older["id"])).out.splitlines()
    assert lines[0] == f"shop 1.0 in production ({older['id']})"
    assert lines[1] == "superseded, because:"
    assert lines[2].startswith(f"    {newer['id']} superseded it at")
    assert lines[2].endswith("[scheduled-before-deployed]")
    assert "        commit commit_sha=4f2a" in lines
    assert any(line.startswith("    20") and "Skipped: superseded by" in line for line in lines)
    as_json = (await run(quiet, queue, older["id"], "--json")).json
    assert as_json["verdict"]["state"] == "superseded"


async def test_a_lanes_story_tells_what_is_live_and_what_was_before(quiet: Running, queue: Queue) -> None:
    first, second = await queue.live("1.0"), await queue.live("1.1")
    lines = (await run(quiet, queue, second["lane_id"])).out.splitlines()
    assert lines[0].startswith("live: 1.1 in production since") and second["id"] in lines[0]
    assert lines[1].startswith("before: 1.0 in production since") and first["id"] in lines[1]
    elsewhere = (await run(quiet, queue, second["lane_id"], "--env", "staging")).out.splitlines()
    assert elsewhere[:3] == ["live: nothing", "before: nothing", "empty, because:"]


async def test_what_is_neither_is_not_found(quiet: Running, queue: Queue) -> None:
    assert "neither a deployment nor a component" in (await run(quiet, queue, "nothing", code=4)).err
    assert "Lane not found" in (await run(quiet, queue, "00000000-0000-4000-8000-000000000000", code=4)).err
    assert "neither" in (await run(quiet, queue, "nothing", "--env", "staging", code=4)).err


async def test_a_component_is_its_only_lane_and_of_several_one_is_asked_for(quiet: Running, queue: Queue) -> None:
    first = await queue.live("1.0")
    assert first["id"] in (await run(quiet, queue, "shop", "--env", "production")).out.splitlines()[0]
    second = await queue.live("1.0", region="us")
    asked = (await run(quiet, queue, "shop", code=2)).err
    assert all(f"{one['lane_id']} (gcp/account/{one['region']})" in asked for one in (first, second))
