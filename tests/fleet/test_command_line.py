"""`rollbook fleet` and `rollbook diff`, as somebody uses them who was just woken."""

import asyncio

import pytest

from tests.cli.stand_in import Ended
from tests.cli.stand_in import rollbook as command_line
from tests.conftest import Running
from tests.queue.conftest import Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def run(quiet: Running, queue: Queue, *arguments: str, expect: int = 0) -> Ended:
    """What a command prints."""
    ended = await asyncio.to_thread(command_line, *arguments, API_URL=quiet.url, ORG=queue.organisation)
    assert ended.code == expect, (arguments, ended.out, ended.err)
    return ended


async def test_the_fleet_is_a_row_a_component_and_environment(quiet: Running, queue: Queue) -> None:
    await queue.live("1")
    await queue.live("2")
    await queue.create("3", environment="staging")
    await queue.ask("POST", "/v1/freezes", 201, json={"scope": {"environment": "staging"}, "reason": "sale"})
    told = (await run(quiet, queue, "fleet")).out.splitlines()
    assert told[0].split() == [
        "COMPONENT",
        "WHERE",
        "ENVIRONMENT",
        "LIVE",
        "SINCE",
        "RUNNING",
        "WAITING",
        "BEFORE",
        "FLAGS",
    ]
    assert told[1].split()[:4] == ["shop", "gcp/account/eu", "production", "2"]
    assert told[1].split()[-2:] == ["1", "-"]
    assert told[2].split()[2:] == ["staging", "-", "-", "-", "3", "-", "frozen"]
    assert told[3].startswith("Frozen: environment=staging, by ")
    narrow = await run(quiet, queue, "fleet", "--environment", "production", "--as-of", "-0s", "--json")
    assert [e["environment"] for lane in narrow.json["lanes"] for e in lane["environments"]] == ["production"]


async def test_the_difference_tells_who_did_what(quiet: Running, queue: Queue) -> None:
    await queue.live("1")
    position = (await queue.ask("GET", "/v1/fleet"))["position"]
    await queue.report(await queue.create("2"), "deployed", notes="urgent")
    ended = await run(quiet, queue, "diff", str(position), "--check")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[1][:5] == ["shop", "gcp/account/eu", "production", "2", "1"]
    happened = lines[lines.index([]) + 2 :]
    assert [line[2] for line in happened] == ["deployed", "scheduled"]
    assert all(line[3:6] == ["shop", "production", "2"] for line in happened)
    assert "Checked" in ended.err


async def test_what_was_skipped_is_told_with_its_environment_and_the_reason_in_words(
    quiet: Running, queue: Queue
) -> None:
    await queue.live("1")
    position = (await queue.ask("GET", "/v1/fleet"))["position"]
    await queue.create("2")
    await queue.live("3")
    lines = (await run(quiet, queue, "diff", str(position))).out.splitlines()
    (skipped,) = (line.split() for line in lines if " skipped " in line)
    assert skipped[3:] == ["shop", "production", "2", *["a", "newer", "one", "went", "live"]]


@pytest.mark.parametrize("since", ["-2h", "-1d", "-9000s"])
async def test_a_time_so_long_ago_is_no_option(quiet: Running, queue: Queue, since: str) -> None:
    ended = await run(quiet, queue, "diff", since, expect=1)
    assert "before the first event" in ended.err


async def test_what_is_no_moment_is_refused_in_a_line(quiet: Running, queue: Queue) -> None:
    ended = await run(quiet, queue, "diff", "yesterday", expect=1)
    assert "from is no reference to the past" in ended.err
