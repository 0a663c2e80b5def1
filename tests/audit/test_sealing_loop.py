"""The loop that seals: when it does and when it does not, and that nothing ends it. Time passes as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.checkpoint_choosing import sealer_of
from adapters.postgres.sealing import Sealer, Unsealed
from entrypoints.composition import Rollbook, build
from entrypoints.workers.sealing import Sealing
from tests.conftest import Database, settings_for
from tests.kernel.test_append import commit_of, lane

# As far as the log is sealed, everything that is recorded is so many seconds older.
OLDER = """
set session_replication_role = replica;
update rollbook.sealed_checkpoints set sealed_at = sealed_at - interval '{0} seconds';
update rollbook.events set recorded_at = recorded_at - interval '{0} seconds'
"""
LOCKED = "select pg_advisory_xact_lock(hashtext('rollbook checkpoints'))"
CUT_OFF = """
select pg_terminate_backend(pid) from pg_locks
 where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = %s)
"""


@dataclass(frozen=True)
class Watched(Sealer):
    """Seals as any does, and tells what it saw each time that it looked."""

    looks: asyncio.Queue[Unsealed] = field(default_factory=asyncio.Queue)

    async def unsealed(self) -> Unsealed:
        """What is left to seal."""
        left = await super().unsealed()
        self.looks.put_nowait(left)
        return left


@dataclass
class Loop:
    """The loop at work on a log of its own."""

    app: Rollbook
    sealer: Watched
    database: Database
    recorded: int = 0

    async def record(self, events: int) -> None:
        """So many more."""
        lanes = [lane(f"shop-{self.recorded + number}") for number in range(events)]
        streams = {f"lane-{one.id}": list(one.collect_events()) for one in lanes}
        await self.app.store.append(commit_of(lane(), streams=streams))
        self.recorded += events

    def pass_by(self, seconds: int) -> None:
        """Time."""
        with psycopg.connect(self.database.admin_url, autocommit=True) as admin:
            admin.execute(OLDER.format(seconds).encode())

    async def until(self, holds: Callable[[Unsealed], bool]) -> Unsealed:
        """What it sees the first time that this is so."""
        async with asyncio.timeout(30):
            while not holds(left := await self.sealer.looks.get()):
                pass
        return left

    async def looked_again(self) -> Unsealed:
        """What it sees when it looks twice from now on: whatever was due the first time is sealed by the second."""
        while not self.sealer.looks.empty():
            self.sealer.looks.get_nowait()
        async with asyncio.timeout(30):
            for _ in range(3):
                self.app.log.wake(0)
                left = await self.sealer.looks.get()
        return left

    async def is_sealed(self) -> None:
        """Waits until nothing is left of all that was recorded."""
        assert (await self.until(lambda left: left.position == self.recorded)).events == 0

    async def waits(self, events: int) -> None:
        """So many are left alone."""
        left = await self.looked_again()
        assert (left.position, left.events) == (self.recorded - events, events)


@pytest.fixture
async def loop(database: Database, tmp_path: Path) -> AsyncIterator[Loop]:
    """Not begun yet."""
    app = await build(settings_for(tmp_path), database.app_url)
    made = sealer_of(app.settings, app.pools)
    yield Loop(app, Watched(app.pools, made.sign, made.public_key), database)
    await app.close()


@asynccontextmanager
async def running(loop: Loop) -> AsyncIterator[None]:
    """It runs meanwhile, and ends when it is told to."""
    stop = asyncio.Event()
    running = asyncio.create_task(Sealing(loop.app, loop.sealer).run(stop))
    yield
    stop.set()
    loop.app.log.wake(0)
    await asyncio.wait_for(running, 20)


async def cut_off(other: psycopg.AsyncConnection[Any], database: str) -> None:
    """Ends the connection of whoever waits for a lock there, once somebody does."""
    async with asyncio.timeout(30):
        while not await (await other.execute(CUT_OFF, [database])).fetchone():
            pass


async def test_the_log_is_sealed_at_a_thousand_events_or_a_minute_each_time_and_not_before(loop: Loop) -> None:
    await loop.record(1)
    async with running(loop):
        await loop.is_sealed()
        for _ in range(2):
            await loop.record(999)
            await loop.waits(999)
            await loop.record(1)
            await loop.is_sealed()
            await loop.record(1)
            loop.pass_by(40)
            await loop.waits(1)
            loop.pass_by(18)
            await loop.is_sealed()


async def test_a_round_that_is_cut_off_ends_nothing_and_the_next_ones_seal(loop: Loop) -> None:
    await loop.record(1)
    with capture_logs() as said:
        async with await psycopg.AsyncConnection.connect(loop.database.admin_url) as other:
            await other.execute(LOCKED)
            async with running(loop):
                await cut_off(other, loop.database.name)
                await other.rollback()
                await loop.is_sealed()
                await loop.record(1000)
                await loop.is_sealed()
    assert [line["event"] for line in said if line["log_level"] == "warning"] == ["sealing.interrupted"]
