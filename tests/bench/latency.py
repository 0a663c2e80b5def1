"""How soon after its commit a change is visible to readers, and with a consumer of the feed."""

import asyncio
import json
import sys
from argparse import Namespace
from bisect import bisect_left
from time import perf_counter
from typing import Any

import nats
import psycopg
from nats.js.api import DeliverPolicy

from projections.read_model import table
from projections.registry import DEPLOYMENTS
from tests.bench.ground import Database, Ground
from tests.bench.report import Report, percentile
from tests.bench.servers import ours

RATES = (50, 300)
WARM_SECONDS = 3.0
POLL_SECONDS = 0.001
VISIBLE = "select position from rollbook_views.checkpoints where read_model = %s"
Moments = list[tuple[int, float]]


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """Everything runs as users run it; an outsider watches commits, read model and feed by one clock."""
    database = await ground.migrated("latency")
    server = ours(ground, database)
    try:
        columns = ("commits", "p50 ms", "p99 ms", "answer p50", "answer p99", "faults")
        report.begin("Commit to visible, and to a NATS consumer", "commands/s, until", *columns)
        for rate in RATES:
            await pace(server.port, rate, WARM_SECONDS)
            outsider = Outsider(database, ground.broker.url)
            told = await outsider.watch(pace(server.port, rate, max(10.0, options.seconds * options.rounds)))
            answered = [percentile(told["seconds"], share) * 1000 for share in (0.5, 0.99)]
            for title, moments in (("visible", outsider.visible), ("consumer", outsider.consumed)):
                late = [seconds * 1000 for seconds in delays(outsider.commits, moments)]
                figures = (len(late), percentile(late, 0.5), percentile(late, 0.99), *answered, told["faults"])
                report.row(f"{rate}/s, {title}", *figures)
    finally:
        server.stop()
        await ground.drop(database)


async def pace(port: int, rate: int, seconds: float) -> dict[str, Any]:
    """Runs the load, a process of its own."""
    command = (sys.executable, "-m", "tests.bench.pace")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    sent = json.dumps({"port": port, "rate": rate, "seconds": seconds}).encode()
    answer, _ = await asyncio.wait_for(process.communicate(sent), seconds + 60)
    result: dict[str, Any] = json.loads(answer)
    return result


class Outsider:
    """Notes when each position was committed, shown by the read model and handed to a consumer."""

    def __init__(self, database: Database, nats_url: str) -> None:
        self.database = database
        self.nats_url = nats_url
        self.commits: Moments = []
        self.visible: Moments = []
        self.consumed: Moments = []

    async def watch(self, load: Any) -> dict[str, Any]:
        """Until the load is done; what it answers."""
        client = await nats.connect(self.nats_url)
        try:
            await client.jetstream().subscribe(
                "rollbook.>", cb=self.consume, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW
            )
            watchers = [asyncio.create_task(self.hear_commits()), asyncio.create_task(self.look_at_rows())]
            await asyncio.sleep(0.5)
            told: dict[str, Any] = await load
            await asyncio.sleep(0.5)
            for watcher in watchers:
                watcher.cancel()
            await asyncio.wait(watchers)
            return told
        finally:
            await client.close()

    async def consume(self, message: Any) -> None:
        """A message of the feed."""
        self.consumed.append((int(message.headers["rollbook-position"]), perf_counter()))

    async def hear_commits(self) -> None:
        """Postgres tells listeners of a commit at once."""
        async with await psycopg.AsyncConnection.connect(self.database.admin_url, autocommit=True) as connection:
            await connection.execute("listen rollbook_events")
            async for note in connection.notifies():
                self.commits.append((int(note.payload), perf_counter()))

    async def look_at_rows(self) -> None:
        """The checkpoint moves in the transaction that shows the rows."""
        async with await psycopg.AsyncConnection.connect(self.database.admin_url, autocommit=True) as connection:
            while True:
                cursor = await connection.execute(VISIBLE, [table(DEPLOYMENTS)], prepare=True)
                position = ((await cursor.fetchone()) or (0,))[0]
                if not self.visible or position > self.visible[-1][0]:
                    self.visible.append((position, perf_counter()))
                await asyncio.sleep(POLL_SECONDS)


def delays(commits: Moments, reached: Moments) -> list[float]:
    """How long after each commit its position was reached."""
    positions = [position for position, _ in reached]
    found = [(at, bisect_left(positions, position)) for position, at in commits]
    return [max(0.0, reached[n][1] - at) for at, n in found if n < len(reached)]
