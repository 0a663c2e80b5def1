"""The disk is full: commands are refused with 507, nothing breaks, and when there is room again all goes on."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from adapters.embedded.nats import EmbeddedNats
from adapters.nats.relay import Relay
from tests.faults.checks import everything_holds
from tests.faults.disk import Disk, small_disk
from tests.faults.ground import Ground
from tests.faults.instance import Instance
from tests.faults.load import Ledger
from tests.faults.patience import CLIENTS, Load
from tests.feed.ground import MemoryLog, caught_up, feed, ids, logged, running

pytestmark = [pytest.mark.timeout(180), pytest.mark.faults]


@pytest.fixture
async def rollbook(disk: Disk) -> AsyncIterator[Instance]:
    """With servers of its own, all of it on the small disk."""
    made = Instance(disk.folder)
    try:
        await made.start()
        yield made
    finally:
        await made.kill_all()


async def test_a_full_disk_is_refused_with_507_told_by_ready_and_mends_itself(disk: Disk, rollbook: Instance) -> None:
    ledger = Ledger()
    async with Load(rollbook.url, ledger) as load, httpx2.AsyncClient(base_url=rollbook.url, timeout=20) as http:
        await load.acknowledged(100)
        disk.fill(leave_megabytes=70)
        await load.answered(507, more=10 * CLIENTS)
        assert (await rollbook.ready())["degraded"] == {"disk": "full: no command is taken"}
        assert (await http.get("/v1/deployments")).status_code == 200
        disk.clear()
        await load.acknowledged(100)
        assert await rollbook.ready() == {"status": "ready"}
    assert set(load.statuses) == {200, 201, 507}
    await everything_holds(rollbook, ledger)


async def test_servers_whose_disk_others_have_filled_up_mend_themselves(disk: Disk, rollbook: Instance) -> None:
    ledger = Ledger()
    async with Load(rollbook.url, ledger) as load:
        await load.acknowledged(100)
        disk.fill(leave_megabytes=0)
        await load.answered(507, more=10 * CLIENTS)
        disk.clear()
        await load.acknowledged(100)
    await rollbook.says(ready=True)
    await everything_holds(rollbook, ledger)


async def test_a_feed_whose_disk_was_full_is_complete_afterwards(disk: Disk) -> None:
    log, stop = MemoryLog(), asyncio.Event()
    async with EmbeddedNats(disk.folder) as broker:
        relay = Relay(log, broker.url, ack_seconds=1)
        async with running(relay):
            unsticking = asyncio.create_task(broker.unstick(relay.is_stuck, stop))
            log.commit(*[1] * 100)
            await caught_up(relay, log)
            disk.fill(leave_megabytes=0)
            log.commit(*[1] * 20_000)
            async with asyncio.timeout(60):
                while not relay.is_stuck():
                    await asyncio.sleep(0.1)
            disk.clear()
            await caught_up(relay, log)
            stop.set()
            await unsticking
        assert ids(await feed(broker.url, len(log.events))) == logged(log)


def copy(source: Path, target: Path) -> None:
    """With owners and modes."""
    subprocess.run(["cp", "--archive", f"{source}/.", target], check=True, timeout=60)


@pytest.fixture
async def elsewhere(ground: Ground) -> AsyncIterator[Disk]:
    """The small disk on which a Postgres works that is none of Rollbook's own."""
    await ground.stop_postgres()
    data, moved = ground.folder / "postgres", ground.folder / "moved"
    data.rename(moved)
    data.mkdir()
    with small_disk(data) as made:
        await asyncio.to_thread(copy, moved, data)
        await ground.postgres.start()
        yield made
        await ground.postgres.stop()


@pytest.mark.parametrize("left", [0, 14])
async def test_a_postgres_elsewhere_whose_disk_is_full_loses_nothing(
    ground: Ground, elsewhere: Disk, left: int
) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    async with Load(rollbook.url, ledger) as load:
        await load.acknowledged(100)
        elsewhere.fill(leave_megabytes=left)
        await refused(load)
        elsewhere.clear()
        await load.acknowledged(100)
        await rollbook.says(ready=True)
    print(f"{left} MB left: {dict(load.statuses)}")
    await everything_holds(rollbook, ledger)


async def refused(load: Load) -> None:
    """Until every client was refused: by 507, or by 503 where Postgres died of it."""
    async with asyncio.timeout(90):
        while load.statuses[507] + load.statuses[503] < 3 * CLIENTS:
            await asyncio.sleep(0.05)
