"""The log is sealed while it grows: after so many events, or so many seconds, whichever is first."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from adapters.checkpoint_choosing import sealer_of
from adapters.postgres.checkpoints import Checkpoints
from adapters.postgres.sealing import LOCK
from application.deployments import schedule_deployment
from domain.checkpoint import NOTHING, Checkpoint
from entrypoints.workers.sealing import Sealing
from tests.audit.conftest import Sealed
from tests.conftest import Database, Running
from tests.kernel.test_append import schedule
from tests.sharing import own_organisation


async def texts(sealed: Sealed) -> list[dict[str, int]]:
    """What was signed."""
    async with sealed.kernel.pools.projector.connection() as connection:
        found = await connection.execute("select text from rollbook.sealed_checkpoints order by number")
        return [json.loads(text) for (text,) in await found.fetchall()]


async def test_not_more_than_so_many_events_are_sealed_at_once_and_no_commit_is_cut(sealed: Sealed) -> None:
    for _ in range(5):
        await sealed.kernel.run(schedule_deployment, schedule())
    while await sealed.sealer.seal(3):
        pass
    async with sealed.kernel.pools.projector.connection() as connection:
        found = await connection.execute("select distinct commit_position from rollbook.events order by 1")
        ends = [end for (end,) in await found.fetchall()]
    positions = [text["position"] for text in await texts(sealed)]
    assert positions[-1] == ends[-1]
    assert set(positions) <= set(ends)
    assert all(after - before <= 3 for before, after in zip([0, *positions], positions, strict=False))


async def test_two_who_seal_at_once_seal_one_behind_the_other(sealed: Sealed) -> None:
    for _ in range(4):
        await sealed.kernel.run(schedule_deployment, schedule())
    await asyncio.gather(*(sealed.sealer.seal(2) for _ in range(4)))
    assert [text["number"] for text in await texts(sealed)] == list(range(1, len(await texts(sealed)) + 1))
    assert (await sealed.export()).verify()[0] == 0


async def test_who_asks_what_was_sealed_by_then_waits_for_whoever_seals_meanwhile(sealed: Sealed) -> None:
    await sealed.kernel.run(schedule_deployment, schedule())
    asked, now = Checkpoints(sealed.kernel.pools), datetime.now(UTC) + timedelta(days=1)
    async with sealed.kernel.pools.projector.connection() as connection:
        async with connection.transaction():
            await connection.execute(LOCK)
            asking = asyncio.create_task(asked.of("acme", 0, 10, by=now))
            async with asyncio.timeout(10):
                while not asking.done() and not await waits(sealed):
                    await asyncio.sleep(0)
            signed = Checkpoint(1, NOTHING, "store", 1, 1, datetime.now(UTC).isoformat(), 0, NOTHING)
            await sealed.sealer.keep(connection, signed, [])
        assert [one.number for one in await asking] == [1]


async def test_many_who_ask_wait_for_who_seals_over_one_connection(sealed: Sealed) -> None:
    asked, now = Checkpoints(sealed.kernel.pools), datetime.now(UTC)
    async with sealed.kernel.pools.projector.connection() as connection:
        async with connection.transaction():
            await connection.execute(LOCK)
            asking = asyncio.gather(*(asked.of("acme", 0, 10, by=now) for _ in range(10)))
            async with asyncio.timeout(10):
                while not asking.done() and not await waits(sealed):
                    await asyncio.sleep(0)
            assert await asked.of("acme", 0, 10) == []
        assert await asking == [[]] * 10


async def waits(sealed: Sealed) -> bool:
    """Whether somebody waits for whoever seals."""
    async with sealed.kernel.pools.writer.connection() as connection:
        found = await connection.execute("select from pg_locks where locktype = 'advisory' and not granted")
        return found.rowcount > 0


async def test_what_is_sealed_is_sealed_after_all_that_was_recorded_also_by_a_clock_that_was_set_back(
    sealed: Sealed, database: Database
) -> None:
    await sealed.kernel.run(schedule_deployment, schedule())
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute("update rollbook.events set recorded_at = recorded_at + interval '1 hour'")
        ((recorded,),) = admin.execute("select max(recorded_at) from rollbook.events").fetchall()
    assert (made := await sealed.sealer.seal())
    assert datetime.fromisoformat(made.sealed_at) > recorded


@pytest.mark.asyncio(loop_scope="session")
async def test_what_is_due_is_sealed_and_what_is_not_waits(quiet: Running) -> None:
    sealer = sealer_of(quiet.app.settings, quiet.app.pools)
    sealing = Sealing(quiet.app, sealer)
    organisation = own_organisation()
    body = {"scope": {}, "reason": "x"}
    for _ in range(2):
        await quiet.client.post("/v1/freezes", json=body, headers={"X-Organisation": organisation})
        sealing.seconds = 0
        await sealing.round()
        assert (await sealer.unsealed()).events == 0
    sealing.seconds = 3600
    await quiet.client.post("/v1/freezes", json=body, headers={"X-Organisation": organisation})
    await sealing.round()
    assert (await sealer.unsealed()).events == 1
    sealing.events = 1
    await sealing.round()
    assert (await sealer.unsealed()).events == 0
    stop = asyncio.Event()
    stop.set()
    await sealing.run(stop)


@pytest.mark.parametrize("table", ["sealed_checkpoints", "checkpoint_heads"])
@pytest.mark.parametrize("statement", ["delete from rollbook.{}", "truncate rollbook.{} cascade"])
async def test_not_even_the_owner_changes_what_was_sealed(
    sealed: Sealed, database: Database, statement: str, table: str
) -> None:
    await sealed.grow(2)
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege, match="is refused")
    with psycopg.connect(database.owner_url) as owner, refused:
        owner.execute(statement.format(table).encode())
