"""`rollbook bundle` and `rollbook bundle open`, as their user runs them: nothing of an opened bundle stays behind."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from tempfile import gettempdir

import httpx2
import pytest

from tests.cli.stand_in import rollbook as command_line
from tests.conftest import Running
from tests.queue.conftest import Queue

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.faults]


async def test_a_bundle_is_made_opened_asked_and_closed(quiet: Running, queue: Queue, tmp_path: Path) -> None:
    await queue.live("1")
    position = str((await queue.ask("GET", "/v1/fleet"))["position"])
    await queue.live("2")
    file, names = tmp_path / "incident.zip", tmp_path / "names.json"
    names.write_text(json.dumps({"local-dev": "the person on call"}))
    arguments = ("bundle", "--from", position, "--lane", "shop", "-o", str(file), "--redaction-map", str(names))
    made = await asyncio.to_thread(command_line, *arguments, API_URL=quiet.url, ORG=queue.organisation)
    assert made.code == 0, made.err
    command = (str(Path(sys.executable).parent / "rollbook"), "bundle", "open", str(file), "--port", "0", "--json")
    opened = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert opened.stdout is not None
    told = json.loads(await asyncio.wait_for(opened.stdout.readline(), 60))
    assert len(told["lanes"]) == 1
    before = {path.name for path in Path(gettempdir()).glob("rollbook-bundle-*")}
    async with httpx2.AsyncClient(base_url=told["url"]) as client:
        found = (await client.get(f"/v1/fleet/diff?from={position}")).json()
    opened.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(opened.wait(), 30) == 0
    assert {change["actor"] for lane in found["lanes"] for change in lane["changes"]} == {"the person on call"}
    assert before - {path.name for path in Path(gettempdir()).glob("rollbook-bundle-*")}


async def test_what_is_no_bundle_is_refused_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "no.zip"
    file.write_bytes(b"nothing")
    ended = await asyncio.to_thread(command_line, "bundle", "open", str(file), "--port", "0")
    assert ended.code == 1
    assert "no.zip is no bundle" in ended.err
