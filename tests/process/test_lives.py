"""Processes greet, work together, drain and leave nothing behind."""

import asyncio
import json
import os
import re
import shutil
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import psycopg
import pytest

from tests.conftest import Database, open_folder
from tests.feed.ground import feed
from tests.process.conftest import DEPLOYMENT, SECONDS, eventually, started

BODY = json.dumps(DEPLOYMENT).encode()
LANE = {name: DEPLOYMENT[name] for name in ("name", "provider", "cloud_account_id", "region")}


async def shell(line: str) -> str:
    """What a command prints."""
    child = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
    printed, _ = await asyncio.wait_for(child.communicate(), SECONDS)
    assert child.returncode == 0, line
    return printed.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the lines are commands for curl, which is not installed here")
async def test_the_lines_that_it_prints_work_as_they_stand(servers: dict[str, str]) -> None:
    with open_folder("greeting") as folder:
        async with started(folder, **servers, READ_WAIT_MS="20000") as instance:
            await eventually(lambda: has_greeted(folder))
            printed = (folder / "rollbook.log").read_text()
            assert instance.url in printed and instance.management_url in printed and str(folder) in printed
            lines = re.findall(r"^ +(curl .+)$", printed, re.MULTILINE)
            created, listed, lanes = [json.loads(await shell(f"{line} --silent --fail")) for line in lines]
            assert [one["id"] for one in listed] == [created["id"]]
            assert [one["name"] for one in lanes] == [created["name"]]


async def has_greeted(folder: Path) -> bool:
    """Whether it has said all; it may be ready a moment before."""
    return "Ctrl-C stops everything." in (folder / "rollbook.log").read_text()


async def test_a_request_in_flight_is_answered_before_the_process_ends(servers: dict[str, str]) -> None:
    with open_folder("draining") as folder:
        async with started(folder, **servers) as instance:
            reader, writer = await half_a_request(instance.api_port)
            assert instance.process is not None
            instance.process.terminate()
            await eventually(lambda: nobody_listens(instance.api_port))
            writer.write(BODY[9:])
            answer = await asyncio.wait_for(reader.read(), SECONDS)
            assert answer.startswith(b"HTTP/1.1 201 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["version"] == DEPLOYMENT["version"]
            assert await asyncio.wait_for(instance.process.wait(), SECONDS) == 0
            writer.close()


async def test_a_request_that_never_ends_holds_nothing_up_for_long(servers: dict[str, str]) -> None:
    patience = {"DRAIN_SECONDS": "1", "REQUEST_TIMEOUT_SECONDS": "600"}
    with open_folder("stuck") as folder:
        async with started(folder, **servers, **patience) as instance:
            _, writer = await half_a_request(instance.api_port)
            assert await instance.terminate() == 0
            writer.close()


async def half_a_request(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which the server waits for the rest of a body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/deployments HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(BODY)}\r\n"
    writer.write(head.encode() + b"content-type: application/json\r\nexpect: 100-continue\r\n\r\n" + BODY[:9])
    assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def nobody_listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_copies_side_by_side_keep_apart_and_ctrl_c_ends_all_of_each() -> None:
    with open_folder("first") as one, open_folder("second") as other:
        async with started(one) as first, started(other) as second, httpx2.AsyncClient(timeout=20) as client:
            created = await client.post(f"{first.url}/v1/deployments", json=DEPLOYMENT)
            assert created.status_code == 201
            assert (await client.get(f"{second.url}/v1/deployments")).json() == []
            for instance in (first, second):
                assert instance.process is not None
                assert instance.programs() >= {"postgres", "nats-server"}
                os.killpg(instance.process.pid, signal.SIGINT)
            for instance in (first, second):
                assert instance.process is not None
                assert await asyncio.wait_for(instance.process.wait(), SECONDS) == 0
                assert not instance.members()


async def test_the_parts_work_apart(servers: dict[str, str], database: Database) -> None:
    with open_folder("parts") as folder:
        async with AsyncExitStack() as stack, httpx2.AsyncClient(timeout=20) as client:
            for part in ("project", "relay", "work"):
                await stack.enter_async_context(started(folder, part, **servers))
            api = await stack.enter_async_context(started(folder, "serve", **servers))
            created = (await client.post(f"{api.url}/v1/deployments", json=DEPLOYMENT)).json()
            claim = {"lanes": [LANE], "runner": "silent", "lease_seconds": 5}
            assert (await client.post(f"{api.url}/v1/deployments/claim", json=claim)).status_code == 200

            async def lapsed() -> bool:
                shown = await client.get(f"{api.url}/v1/deployments/{created['id']}")
                return bool(shown.json()["status"] == "scheduled")

            await eventually(lapsed)
            recorded = topics_in(database.admin_url)
            published = await feed(servers["NATS_URL"], len(recorded))
            assert [message.subject.split(".", 2)[2] for message in published] == recorded


def topics_in(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [topic for (topic,) in connection.execute("select topic from rollbook.events order by position")]
