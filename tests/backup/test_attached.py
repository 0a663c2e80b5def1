"""An older backup is restored under running processes, a subscriber and load: all of them go on in the new epoch."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import nats
import psycopg
import pytest
from nats.aio.msg import Msg

from adapters.embedded.nats import EmbeddedNats
from tests.conftest import Database, open_folder
from tests.faults.instance import Instance
from tests.faults.load import Ledger, body, client, end

pytestmark = pytest.mark.timeout(180)
LIMIT = 60


@dataclass
class Subscriber:
    """Keeps what the feed sends it: the sequence in the stream, the epoch, the position and the event's id."""

    seen: list[tuple[int, int, int, str]] = field(default_factory=list)

    async def take(self, message: Msg) -> None:
        """Notes one message."""
        headers = message.headers or {}
        numbers = message.metadata.sequence.stream, int(headers["rollbook-epoch"]), int(headers["rollbook-position"])
        self.seen.append((*numbers, headers["ce-id"]))

    async def until(self, epoch: int, position: int) -> None:
        """Waits until this position of this epoch came."""
        async with asyncio.timeout(LIMIT):
            while (epoch, position) not in {seen[1:3] for seen in self.seen}:
                await asyncio.sleep(0.02)

    def of(self, epoch: int) -> list[tuple[int, str]]:
        """Positions and ids of the events of one epoch, as they came."""
        return [seen[2:] for seen in self.seen if seen[1] == epoch]


@asynccontextmanager
async def subscribed(url: str) -> AsyncIterator[Subscriber]:
    """A subscriber of the whole feed from its beginning."""
    subscriber = Subscriber()
    connection = await nats.connect(url)
    try:
        await connection.jetstream().subscribe("rollbook.>", stream="ROLLBOOK", cb=subscriber.take)
        yield subscriber
    finally:
        await connection.close()


@dataclass
class System:
    """Two APIs, a projector, a relay and a housekeeper, each a process of its own."""

    folder: Path
    settings: dict[str, str]
    database: Database
    nats_url: str
    parts: list[Instance] = field(default_factory=list)

    async def start(self) -> None:
        """Returns when all of them are ready."""
        names = ("serve", "serve", "project", "relay", "work")
        self.parts = [Instance(self.folder, part, self.settings) for part in names]
        await asyncio.gather(*(part.start() for part in self.parts))

    async def stop(self) -> None:
        """Ends them as a user would; each must end well."""
        assert [await part.terminate() for part in self.parts] == [0] * len(self.parts)

    async def kill(self) -> None:
        """Whatever still runs."""
        for part in self.parts:
            if part.process is not None and part.process.returncode is None:
                await part.kill_all()

    async def rollbook(self, *arguments: str) -> dict[str, Any]:
        """What a command prints as JSON."""
        command = [str(Path(sys.executable).parent / "rollbook"), *arguments, "--json"]
        environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(self.folder), **self.settings}
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, env=environment, cwd=self.folder
        )
        printed, _ = await asyncio.wait_for(process.communicate(), LIMIT)
        assert process.returncode == 0
        answer: dict[str, Any] = json.loads(printed)
        return answer

    async def in_epoch(self, part: Instance, epoch: int) -> list[dict[str, Any]]:
        """All deployments as this API lists them, as soon as it answers in this epoch."""
        async with asyncio.timeout(LIMIT), httpx2.AsyncClient(base_url=part.url, timeout=20) as http:
            while True:
                with suppress(httpx2.HTTPError):
                    answer = await http.get("/v1/deployments?limit=1000")
                    if answer.status_code == 200 and answer.headers["x-rollbook-epoch"] == str(epoch):
                        found: list[dict[str, Any]] = answer.json()
                        return found
                await asyncio.sleep(0.05)

    def log(self) -> list[tuple[int, str]]:
        """Positions and ids of all events."""
        with psycopg.connect(self.database.admin_url) as admin:
            rows = admin.execute("select position, event_id from rollbook.events order by position").fetchall()
        return [(position, str(event_id)) for position, event_id in rows]

    def checkpoints(self) -> set[tuple[int, int]]:
        """Where the read models stand: position and epoch."""
        with psycopg.connect(self.database.admin_url) as admin:
            return set(admin.execute("select position, epoch from rollbook_views.checkpoints").fetchall())


@pytest.fixture
async def system(database: Database) -> AsyncIterator[System]:
    """The processes, on a NATS of their own."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_folder("attached"))
        broker = await stack.enter_async_context(EmbeddedNats(folder))
        settings = {
            "DATABASE_URL": database.app_url,
            "DATABASE_OWNER_URL": database.owner_url,
            "NATS_URL": broker.url,
        }
        made = System(folder, settings, database, broker.url)
        stack.push_async_callback(made.kill)
        await made.start()
        yield made


async def create(url: str, versions: range) -> list[str]:
    """Deployments, one after the other; their ids."""
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        answers = [await http.post("/v1/deployments", json=body(n, str(n))) for n in versions]
    assert {answer.status_code for answer in answers} == {201}
    return [answer.json()["id"] for answer in answers]


async def test_an_older_backup_is_restored_under_everybody_attached(system: System) -> None:
    one, other = system.parts[:2]
    async with subscribed(system.nats_url) as subscriber:
        kept = await create(one.url, range(8))
        taken = await system.rollbook("backup", "older.zip", "--with-key")
        lost = await create(other.url, range(8, 20))
        before = system.log()
        await subscriber.until(1, len(before))
        assert subscriber.of(1) == before

        ledger, stop = Ledger(), asyncio.Event()
        load = [asyncio.create_task(client(part.url, n, ledger, stop)) for part in (one, other) for n in range(2)]
        done = await system.rollbook("restore", "older.zip", "--replace", "--while-running")
        await end((stop, asyncio.gather(*load)))
        assert done["epoch_before"] == 1 < done["epoch"]

        for part in (one, other):
            shown = {row["id"] for row in await system.in_epoch(part, done["epoch"])}
            assert set(kept) <= shown and not shown & set(lost)
        new = await create(one.url, range(20, 25)) + await create(other.url, range(25, 30))
        for part in (one, other):
            assert set(kept + new) <= {row["id"] for row in await system.in_epoch(part, done["epoch"])}
        for part in system.parts:
            await part.says(ready=True)

        after = system.log()
        assert after[: taken["events"]] == before[: taken["events"]]
        await subscriber.until(done["epoch"], len(after))
        assert subscriber.of(done["epoch"]) == after, "every event of the new epoch once, in order"
        tells_itself_apart(subscriber, done["epoch"])
    async with subscribed(system.nats_url) as late:
        await late.until(done["epoch"], len(after))
        assert [seen[2:] for seen in late.seen] == after, "who comes later sees the new epoch alone"
    assert system.checkpoints() == {(len(after), done["epoch"])}
    await system.stop()


def tells_itself_apart(subscriber: Subscriber, epoch: int) -> None:
    """The stream went on: sequences grew, the epoch changed once and is in every message."""
    sequences, epochs = [seen[0] for seen in subscriber.seen], [seen[1] for seen in subscriber.seen]
    assert sequences == sorted(set(sequences))
    assert epochs == sorted(epochs)
    assert set(epochs) == {1, epoch}
