"""Several worker processes, some of which stand still or have a wrong clock: what they deploy is there once."""

import asyncio
import os
import shutil
import signal
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.embedded.nats import EmbeddedNats
from tests.conftest import Database, running_rollbook, settings_for
from tests.deployments.conftest import SOLD, Shop, entries, rows
from tests.deployments.dying import held, somebody_waits
from tests.deployments.test_crashes import Workers, nobody_holds

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
COUNT = "select count(*) from customers"
MOVED_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, time);
    if (!failed && which == CLOCK_REALTIME) time->tv_sec += atol(getenv("CLOCK_MOVED_SECONDS"));
    return failed;
}
"""


@pytest.fixture
async def shop(
    database: Database, tmp_path: Path, nats_server: EmbeddedNats, source: str, staging: str
) -> AsyncIterator[Shop]:
    """Everything but workers runs here."""
    file = tmp_path / "environments.yaml"
    environments = entries(source=source, staging=staging)
    file.write_text(str(environments).replace("'", '"'))
    async with running_rollbook(settings_for(tmp_path, environments_file=file), database) as running:
        yield Shop(running, nats_server.url, source, staging)


@pytest.fixture
def workers(shop: Shop, database: Database) -> Workers:
    """Processes that work for it."""
    return Workers(shop, database)


@asynccontextmanager
async def at_work(workers: Workers, number: int = 1) -> AsyncIterator[list[Process]]:
    """So many; they end well."""
    made = [await workers.start() for _ in range(number)]
    try:
        yield made
        for one in made:
            one.terminate()
        assert {await asyncio.wait_for(one.wait(), 30) for one in made} == {0}
    finally:
        for one in made:
            if one.returncode is None:
                one.kill()
                await one.wait()


async def ended(shop: Shop, jobs: list[str]) -> list[str]:
    """How these jobs ended."""
    return [(await shop.job(one, "completed", "failed", "cancelled", "timeout"))["status"] for one in jobs]


async def deployed(shop: Shop) -> list[str]:
    """Which deployments were made, in their order, as the log has it."""
    events = await shop.rollbook.app.log.fetch_after(0, 10_000)
    return [f"deploy-{e.stream_id[-36:]}" for e in events if e.topic == "data_deployment.deployed"]


async def test_of_many_deployments_of_a_package_at_once_each_is_made_and_its_rows_are_there_once(
    shop: Shop, workers: Workers
) -> None:
    async with at_work(workers, 2):
        package = await shop.pack()
        asked = await asyncio.gather(*(shop.deploy(package, 202, run_as_background=True) for _ in range(8)))
        jobs = [one["job_id"] for one in asked]
        assert await ended(shop, jobs) == ["completed"] * 8
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == (SOLD, [(10,)])
    order = await deployed(shop)
    assert sorted(order) == sorted(jobs)
    told = {one["id"]: one for one in await shop.deployments()}
    assert [told[one]["replacedby"] for one in order] == [*order[1:], None]
    assert [told[one]["isactive"] for one in order] == [False] * 7 + [True]
    assert [(await shop.ask("GET", f"/jobs/{one}"))["retry_count"] for one in order] == [0] * 8
    await nobody_holds(shop, "shop-data")


async def test_deployments_and_rollbacks_at_once_leave_what_their_history_says(shop: Shop, workers: Workers) -> None:
    async with at_work(workers, 2):
        package = await shop.pack()
        for _ in range(3):
            made = (await shop.deploy(package))["deployment"]["id"]
            deploying = shop.deploy(package, 202, run_as_background=True)
            path, headers = f"/api/deployments/{made}/rollback", {"X-Organisation": "acme"}
            backs = [shop.rollbook.client.post(path, headers=headers, json={}) for _ in range(2)]
            later, *taken = await asyncio.gather(deploying, *backs)
            assert await ended(shop, [later["job_id"]]) == ["completed"]
            assert sorted(one.status_code for one in taken)[1] == 409
            status = (await shop.deployment(made))["status"]
            assert (status == "rolled_back") == (200 in [one.status_code for one in taken])
            assert (await shop.deployment(later["job_id"]))["isactive"] is True
            await everything_follows_from_the_history(shop)
    await nobody_holds(shop, "shop-data")


async def everything_follows_from_the_history(shop: Shop) -> None:
    """The rows are there when any deployment is, and were then brought by one of them once."""
    there = [one for one in await shop.deployments() if one["status"] == "completed"]
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == ((SOLD, [(10,)]) if there else ([], [(7,)]))
    for one in there:
        await shop.roll_back(one["id"])
    assert rows(shop.staging, COUNT) == [(7,)]


async def test_a_worker_that_stood_still_for_longer_than_its_lease_loads_nothing_twice(
    shop: Shop, workers: Workers
) -> None:
    async with at_work(workers) as (first,):
        package = await shop.pack()
        with held(shop.staging, "orders"):
            job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
            await somebody_waits(shop.staging)
            first.send_signal(signal.SIGSTOP)
        try:
            async with at_work(workers):
                assert await ended(shop, [job]) == ["completed"]
        finally:
            first.send_signal(signal.SIGCONT)
        assert (await shop.deploy(package))["deployment"]["tables"]["orders"] == {
            "new": 0,
            "changed": 0,
            "same": 3,
            "failed": 0,
        }
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == (SOLD, [(10,)])
    assert (await deployed(shop)).count(job) == 1
    assert (await shop.actions(package))[1] == ("deploy", "completed")


async def test_a_worker_that_stood_still_while_its_job_was_called_off_commits_nothing(
    shop: Shop, workers: Workers
) -> None:
    async with at_work(workers) as (first,):
        package = await shop.pack()
        with held(shop.staging, "orders"):
            job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
            await somebody_waits(shop.staging)
            first.send_signal(signal.SIGSTOP)
            try:
                await shop.ask("POST", f"/jobs/{job}/cancel", json={"reason": "wrong one"})
                async with at_work(workers):
                    assert await ended(shop, [job]) == ["cancelled"]
            finally:
                first.send_signal(signal.SIGCONT)
        assert (await shop.deploy(package, dry_run=True))["deployment"]["tables"]["orders"]["new"] == 3
    assert rows(shop.staging, COUNT) == [(7,)]
    assert (await shop.actions(package))[1] == ("deploy", "failed")
    assert (await shop.deployment(job))["errorlog"] == ["wrong one"]


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What moves the clock of a process that loads it."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("moves a worker's clock by a few lines of C, and there is no compiler")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(MOVED_CLOCK)
    command: list[str | Path] = [compiler, "-shared", "-fPIC", "-o", folder / "clock.so", folder / "clock.c", "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return folder / "clock.so"


def clock_of(workers: Workers) -> int:
    """What the clock of its processes says."""
    environment = os.environ | workers.environment
    said = subprocess.run(["date", "+%s"], env=environment, capture_output=True, check=True, timeout=20)
    return int(said.stdout)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_worker_whose_clock_is_wrong_keeps_due_times_and_pauses(
    shop: Shop, workers: Workers, moving: Path, hours: int
) -> None:
    workers.environment |= {"LD_PRELOAD": str(moving), "CLOCK_MOVED_SECONDS": str(hours * 3600)}
    assert abs(clock_of(workers) - datetime.now(UTC).timestamp() - hours * 3600) < 60
    async with at_work(workers):
        package = await shop.pack()
        soon, later = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (2, 1800))
        due = (await shop.deploy(package, 202, schedule_at=soon.isoformat()))["job_id"]
        waiting = (await shop.deploy(package, 202, schedule_at=later.isoformat()))["job_id"]
        away = (await shop.deploy(package, 202, to="away", run_as_background=True))["job_id"]
        assert await ended(shop, [due]) == ["completed"]
        assert datetime.now(UTC) > soon
        assert (await shop.job(away, "retry"))["retry_count"] < 3
        assert await ended(shop, [away]) == ["failed"]
        assert (await shop.ask("GET", f"/jobs/{waiting}"))["status"] == "pending"
        assert (await shop.deployment(waiting))["status"] == "pending"
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == (SOLD, [(10,)])
