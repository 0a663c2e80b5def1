"""Everything is killed under load, again and again: nothing acknowledged is lost, nothing happens twice."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import open_folder
from tests.faults.checks import everything_holds
from tests.faults.instance import Instance
from tests.faults.load import Ledger, end, load_until


@pytest.fixture
async def instance() -> AsyncIterator[Instance]:
    """A Rollbook that is not running yet, and surely not afterwards."""
    with open_folder("instance") as folder:
        made = Instance(folder)
        yield made
        if made.process is not None:
            await made.kill_all()


async def kill_under_load(instance: Instance, ledger: Ledger, times: int) -> None:
    """At least a hundred commands are acknowledged between two kills."""
    for _ in range(times):
        await instance.start()
        stop, tasks = await load_until(instance.url, ledger, acknowledged=100)
        await instance.kill_all()
        await end(stop, tasks)
    await instance.start()


@pytest.mark.timeout(300)
async def test_nothing_acknowledged_is_lost_when_everything_is_killed_ten_times(instance: Instance) -> None:
    ledger = Ledger()
    await kill_under_load(instance, ledger, times=10)
    assert len(ledger.created) + len(ledger.deployed) >= 1000
    await everything_holds(instance, ledger)


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_nothing_acknowledged_is_lost_when_everything_is_killed_fifty_times(instance: Instance) -> None:
    ledger = Ledger()
    await kill_under_load(instance, ledger, times=50)
    assert len(ledger.created) + len(ledger.deployed) >= 5000
    await everything_holds(instance, ledger)


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["before_append", "after_append", "before_publish", "after_publish"])
async def test_a_kill_at_a_named_place_loses_nothing(instance: Instance, place: str) -> None:
    ledger = Ledger()
    await instance.start()
    stop, tasks = await load_until(instance.url, ledger, acknowledged=100)
    await instance.kill_all()
    await end(stop, tasks)
    await instance.start(failpoint=f"{place}:60")
    stop, tasks = await load_until(instance.url, ledger, acknowledged=100_000)
    await end(stop, tasks)
    await instance.wait_dead()
    await instance.start()
    await everything_holds(instance, ledger)


async def test_a_terminated_rollbook_leaves_with_code_zero_and_finds_its_data_again(instance: Instance) -> None:
    ledger = Ledger()
    await instance.start()
    stop, tasks = await load_until(instance.url, ledger, acknowledged=50)
    stop.set()
    assert await instance.terminate() == 0
    await end(stop, tasks)
    assert not instance.members()
    await instance.start()
    await everything_holds(instance, ledger)
