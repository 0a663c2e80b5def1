"""What stands in the way for a while costs no command, no event and no row."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest

from adapters.embedded.room import Room
from adapters.postgres import leadership
from adapters.postgres.leadership import Leadership
from adapters.postgres.log import PostgresLog
from adapters.postgres.pools import Pools
from adapters.postgres.projector import Projector
from adapters.postgres.rebuild import alone, rebuild
from application.deployments import UpdateDeployment, schedule_deployment, update_deployment
from application.ports.event_store import CommandKey
from domain.errors import Clash, StorageFull
from domain.status import Status
from projections.read_model import table
from projections.registry import DEPLOYMENTS, LANES, READ_MODELS
from tests.conftest import Database
from tests.faults.replay import read_models_equal_replay, whole_log
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule

LIMIT = 30
LOCK = "lock table rollbook_views.{} in access exclusive mode"


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """The superuser, who may stand in everybody's way."""
    async with await psycopg.AsyncConnection.connect(database.admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def pools(database: Database) -> AsyncIterator[Pools]:
    """Connections of another process."""
    made = Pools.of(database.app_url, 4)
    await made.open()
    yield made
    await made.close()


async def test_a_snapshot_that_cannot_be_kept_costs_no_command(
    kernel: Kernel, admin: psycopg.AsyncConnection[Any]
) -> None:
    kernel.store.snapshot_every = 1
    await kernel.run(schedule_deployment, schedule())
    await admin.execute("revoke insert on rollbook.snapshots from rollbook_writer")
    kernel.executor.cache.known.clear()
    assert not (await kernel.run(schedule_deployment, schedule())).repeated
    assert not await (await admin.execute("select from rollbook.snapshots")).fetchall()


async def test_a_full_disk_refuses_a_command_which_may_come_again(kernel: Kernel) -> None:
    key = CommandKey(uuid4(), b"digest", 201)
    kernel.store.appender.disk_is_full = lambda: True
    with pytest.raises(StorageFull):
        await kernel.run(schedule_deployment, schedule(), key)
    assert kernel.store.full
    kernel.store.appender.disk_is_full = lambda: False
    assert not (await kernel.run(schedule_deployment, schedule(), key)).repeated
    assert not kernel.store.full


def test_a_disk_is_full_before_nothing_is_left(tmp_path: Path) -> None:
    assert not Room(tmp_path, reserve=1).is_full()
    assert Room(tmp_path, reserve=10**18).is_full()
    assert not Room(tmp_path / "missing", reserve=10**18).is_full()


async def test_a_leader_that_is_not_heard_of_is_deposed_and_can_write_no_more(
    pools: Pools, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "SILENCE_SECONDS", 0.3)
    async with pools.projector.connection() as silent, kernel.pools.projector.connection() as heard:
        assert await Leadership(silent, READ_MODELS).won([DEPLOYMENTS])
        challenger = Leadership(heard, READ_MODELS)
        await until_won(challenger)
        with pytest.raises(psycopg.errors.AdminShutdown):
            await silent.execute("select 1")


async def until_won(challenger: Leadership) -> None:
    """Tries as a projector does."""
    async with asyncio.timeout(LIMIT):
        while not await challenger.won([DEPLOYMENTS]):
            await challenger.depose_the_silent()
            await asyncio.sleep(0.05)


async def test_a_leader_that_builds_may_be_silent(
    pools: Pools, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leadership, "SILENCE_SECONDS", 0.0)
    async with pools.projector.connection() as builder, kernel.pools.projector.connection() as other:
        leader = Leadership(builder, READ_MODELS)
        assert await leader.won([DEPLOYMENTS])
        async with leader.building():
            await Leadership(other, READ_MODELS).depose_the_silent()
        assert not await Leadership(other, READ_MODELS).won([DEPLOYMENTS])


async def test_a_read_model_is_rebuilt_by_one_at_a_time(pools: Pools, kernel: Kernel, database: Database) -> None:
    await kernel.run(schedule_deployment, schedule())
    log = PostgresLog(kernel.pools, database.app_url)
    async with pools.projector.connection() as other, alone(other, f"{table(DEPLOYMENTS)}_shadow"):
        with pytest.raises(Clash):
            await rebuild(kernel.pools, log, DEPLOYMENTS, lambda *_: None)
    assert await rebuild(kernel.pools, log, DEPLOYMENTS, lambda *_: None) == await log.head()
    await log.close()


async def test_a_projector_that_loses_a_deadlock_goes_on_and_misses_nothing(
    kernel: Kernel, database: Database, admin: psycopg.AsyncConnection[Any]
) -> None:
    log, stop = PostgresLog(kernel.pools, database.app_url), asyncio.Event()
    projector = Projector(kernel.pools, log, READ_MODELS)
    projecting = asyncio.create_task(projector.run(stop))
    made = await kernel.run(schedule_deployment, schedule())
    await reached(projector, await log.head())
    await admin.execute("set deadlock_timeout = '60s'")
    async with await psycopg.AsyncConnection.connect(database.admin_url) as gate, admin.transaction():
        await gate.execute(LOCK.format(table(LANES)).encode())
        await admin.execute(LOCK.format("checkpoints").encode())
        await kernel.run(update_deployment, UpdateDeployment(made.resource, Status.DEPLOYED))
        await until_somebody_waits(gate, table(LANES))
        crossing = asyncio.create_task(admin.execute(LOCK.format(table(DEPLOYMENTS)).encode()))
        await until_somebody_waits(gate, table(DEPLOYMENTS))
        # The projector, let in here, comes last to the circle: it is the one that finds it.
        await gate.commit()
        await crossing
    await reached(projector, await log.head())
    stop.set()
    await asyncio.wait_for(projecting, LIMIT)
    await log.close()
    await read_models_equal_replay(admin, await whole_log(admin))
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    async with asyncio.timeout(LIMIT):
        while await (await admin.execute(deadlocks)).fetchone() != (1,):
            await asyncio.sleep(0.1)


async def reached(projector: Projector, position: int) -> None:
    """Until the projector is there."""
    async with asyncio.timeout(LIMIT):
        while projector.position < position:
            await asyncio.sleep(0.02)


async def until_somebody_waits(connection: psycopg.AsyncConnection[Any], name: str) -> None:
    """For a table of ours."""
    query = "select from pg_locks where not granted and relation = %s::regclass"
    async with asyncio.timeout(LIMIT):
        while not await (await connection.execute(query, [f"rollbook_views.{name}"])).fetchall():
            await asyncio.sleep(0.02)


async def test_only_a_connection_that_is_gone_counts_as_lost(pools: Pools) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        await read(pools, "set local statement_timeout = 10", "select pg_sleep(20)")
    assert pools.losses == 0
    with pytest.raises(psycopg.OperationalError):
        await read(pools, "reset role", "select pg_terminate_backend(pg_backend_pid())")
    assert pools.losses == 1


async def read(pools: Pools, *statements: LiteralString) -> None:
    """As a reader, in one transaction."""
    async with pools.reading("acme") as connection, connection.transaction():
        for statement in statements:
            await connection.execute(statement)
