"""Everything is killed under load, again and again: nothing acknowledged is lost, nothing happens twice."""

import asyncio
from random import Random
from typing import Any

import psycopg
import pytest

from tests.faults.checks import admin_url, durability_is_on, everything_holds
from tests.faults.instance import Instance
from tests.faults.load import Ledger, begin, end, load_until

EVERYTHING = {"rollbook", "postgres", "nats-server"}
PAUSE_AT_COMMIT = """
create function pause_at_commit() returns trigger language plpgsql as
$$ begin perform pg_sleep(600); return null; end $$;
create constraint trigger pause_at_commit after insert on rollbook.events deferrable initially deferred
   for each row when (new.position > {}) execute function pause_at_commit();
"""


async def kill_under_load(instance: Instance, ledger: Ledger, times: int) -> None:
    """At least a hundred commands are acknowledged between two kills; when exactly each comes is chance."""
    seed = Random().randrange(10**6)
    print(f"kills by chance {seed}")
    chance = Random(seed)
    for _ in range(times):
        await instance.start()
        await durability_is_on(instance)
        begun = await load_until(instance.url, ledger, 100 + chance.randrange(40))
        await asyncio.sleep(chance.uniform(0, 0.02))
        assert await instance.kill_all() >= EVERYTHING
        await end(begun)
    await instance.start()


@pytest.mark.timeout(600)
async def test_nothing_acknowledged_is_lost_when_everything_is_killed_ten_times(instance: Instance) -> None:
    ledger = Ledger()
    await kill_under_load(instance, ledger, times=10)
    assert ledger.count >= 1000
    await everything_holds(instance, ledger)


@pytest.mark.faults
@pytest.mark.timeout(1500)
async def test_nothing_acknowledged_is_lost_when_everything_is_killed_fifty_times(instance: Instance) -> None:
    ledger = Ledger()
    await kill_under_load(instance, ledger, times=50)
    assert ledger.count >= 5000
    await everything_holds(instance, ledger)


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["before_append", "after_commit", "before_publish", "after_publish"])
async def test_a_kill_at_a_named_place_loses_nothing(instance: Instance, place: str) -> None:
    ledger = Ledger()
    await kill_under_load(instance, ledger, times=1)
    await instance.terminate()
    for hits in (300, 400):
        before = ledger.count
        await instance.start(failpoint=f"{place}:{hits}")
        begun = begin(instance.url, ledger)
        await instance.wait_dead()
        await end(begun)
        assert ledger.count >= before + 100
    await instance.start()
    await everything_holds(instance, ledger)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_kill_after_the_append_and_before_its_commit_loses_nothing(instance: Instance) -> None:
    ledger = Ledger()
    await instance.start()
    await end(await load_until(instance.url, ledger, 100))
    async with await psycopg.AsyncConnection.connect(admin_url(instance.folder), autocommit=True) as admin:
        ((head,),) = await rows(admin, "select max(position) from rollbook.events")
        await admin.execute(PAUSE_AT_COMMIT.format(last := head + 500).encode())
        begun = begin(instance.url, ledger)
        await until_somebody_pauses(admin)
    assert ledger.count >= 200
    assert await instance.kill_all() >= EVERYTHING
    await end(begun)
    await instance.start()
    async with await psycopg.AsyncConnection.connect(admin_url(instance.folder), autocommit=True) as admin:
        await admin.execute("drop function pause_at_commit cascade")
        assert await rows(admin, "select max(position) <= %s from rollbook.events", last) == [(True,)]
    await everything_holds(instance, ledger)


async def rows(admin: psycopg.AsyncConnection[Any], query: str, *values: Any) -> list[Any]:
    """What a query answers."""
    return await (await admin.execute(query.encode(), values)).fetchall()


async def until_somebody_pauses(admin: psycopg.AsyncConnection[Any]) -> None:
    """Until an append has done everything but commit."""
    query = "select from pg_stat_activity where application_name = 'rollbook writer' and wait_event = 'PgSleep'"
    async with asyncio.timeout(60):
        while not await rows(admin, query):
            await asyncio.sleep(0.02)


async def test_a_terminated_rollbook_leaves_with_code_zero_and_finds_its_data_again(instance: Instance) -> None:
    ledger = Ledger()
    await instance.start()
    begun = await load_until(instance.url, ledger, 50)
    begun[0].set()
    assert await instance.terminate() == 0
    await end(begun)
    assert not instance.members()
    await instance.start()
    await everything_holds(instance, ledger)
