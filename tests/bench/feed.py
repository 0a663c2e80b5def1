"""The feed: how fast one subscriber takes the whole past, and how soon a thousand hear of a commit."""

import asyncio
import json
import sys
from argparse import Namespace
from typing import Any

import nats

from tests.bench.ground import Database, Ground
from tests.bench.http import drained, head
from tests.bench.latency import pace
from tests.bench.rebuild import rebuilt
from tests.bench.record import LANES_OF_FLEET
from tests.bench.report import Report, middle, percentile
from tests.bench.seed import ORGANISATION
from tests.bench.servers import Measured, ours

SUBSCRIBERS, STALLED, COMMITS_A_SECOND, LIVE_SECONDS = 1000, 10, 10, 60.0
LINE = 256 * 1024 * 1024


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """The past over both ways in turn, then the present."""
    await past(ground, report, options)
    await present(ground, report)


async def past(ground: Ground, report: Report, options: Namespace) -> None:
    """All of a long history with its payloads, to one subscriber in another process."""
    database = await ground.history(options.events, LANES_OF_FLEET)
    await asyncio.to_thread(rebuilt, database.app_url)
    server = ours(ground, database)
    try:
        await wait_for_copy(ground, database)
        report.begin("The past, to one subscriber", "over", "events", "events/s", "slowest", "gaps", "CPU us/event")
        for kind in ("replay", "nats"):
            await several(ground, report, server, kind, await head(database), options)
    finally:
        server.stop()


async def wait_for_copy(ground: Ground, database: Database) -> None:
    """Until NATS has all of it."""
    client = await nats.connect(ground.broker.url)
    try:
        await drained(client, await head(database))
    finally:
        await client.close()


async def several(ground: Ground, report: Report, server: Measured, kind: str, events: int, options: Namespace) -> None:
    """So many rounds of one way."""
    subject = f"rollbook.{ORGANISATION}.>"
    asked = {"kind": kind, "port": server.port, "nats": ground.broker.url, "subject": subject, "count": events}
    rates, gaps, used = [], 0, server.cpu_seconds()
    for _ in range(options.rounds):
        told = await (await reading(asked)).outcome()
        rates.append(told["count"] / told["seconds"])
        gaps += told.get("gaps", 0) + (told["count"] != events)
    cost = (server.cpu_seconds() - used) * 1e6 / (events * options.rounds)
    report.row({"replay": "SSE", "nats": "NATS"}[kind], events, middle(rates), min(rates), gaps, cost)


async def present(ground: Ground, report: Report) -> None:
    """A thousand subscribers in another process, of whom ten take nothing, while commits come that all see."""
    database = await ground.migrated("feed")
    server = ours(ground, database)
    try:
        await pace(server.port, COMMITS_A_SECOND, 3.0)
        columns = ("events", "p50 ms", "p99 ms", "most ms", "unequal", "gaps", "CPU %")
        report.begin("Commit to subscriber", "live subscribers over SSE", *columns)
        asked = {"kind": "live", "port": server.port, "subscribers": SUBSCRIBERS, "stalled": STALLED}
        readers = await reading({**asked, "seconds": LIVE_SECONDS})
        await readers.ready()
        used = server.cpu_seconds()
        await pace(server.port, COMMITS_A_SECOND, LIVE_SECONDS)
        share = (server.cpu_seconds() - used) / LIVE_SECONDS * 100
        told = await readers.outcome()
        late = [seconds * 1000 for seconds in told["late"]]
        figures = (percentile(late, 0.5), percentile(late, 0.99), max(late))
        unequal = len(told["counts"]) - 1 + told["lost"]
        report.row(f"{SUBSCRIBERS:,}, {STALLED} stalled", len(late), *figures, unequal, told["gaps"], share)
        report.note("from the moment that the event bears, which is just before its commit")
    finally:
        server.stop()
        await ground.drop(database)


class Reading:
    """Subscribers at work in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self.process = process
        self.output = process.stdout

    async def ready(self) -> None:
        """Until all of them are let in."""
        if await asyncio.wait_for(self.output.readline(), 120) != b"ready\n":
            raise RuntimeError("the subscribers were not let in")

    async def outcome(self) -> dict[str, Any]:
        """What they saw."""
        told: dict[str, Any] = json.loads(await asyncio.wait_for(self.output.readline(), 900))
        await asyncio.wait_for(self.process.wait(), 30)
        return told


async def reading(asked: dict[str, Any]) -> Reading:
    """Starts subscribers."""
    command, pipe = (sys.executable, "-m", "tests.bench.feed_readers"), asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LINE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(asked).encode() + b"\n")
    await process.stdin.drain()
    return Reading(process)
