"""Rollbook's own database and NATS die, or are full, while deployments are made: each of these ends once and whole."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import Database, Running, open_folder, running_rollbook, settings_for
from tests.databases.servers import own
from tests.deployments.conftest import SOLD, Shop, entries, rows
from tests.deployments.dying import held, somebody_waits
from tests.faults.disk import Disk, small_disk
from tests.faults.ground import Ground
from tests.sharing import environments_of, own_organisation

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]
COUNT = "select count(*) from customers"


@dataclass
class House:
    """Servers that can be killed, the disk of the database, and Rollbook on them."""

    ground: Ground
    disk: Disk
    rollbook: Running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One for all of these tests."""
    with open_folder("house") as folder:
        place = folder / "postgres"
        place.mkdir()
        with small_disk(place) as disk:
            own(place)
            async with Ground(folder) as ground:
                await (await ground.start("project")).terminate()
                postgres = ground.postgres
                database = Database("", postgres.owner_url, postgres.app_url, postgres.admin_url)
                settings = settings_for(tmp_path_factory.mktemp("house"), database_url=database.app_url)
                async with running_rollbook(settings, database) as running:
                    working = Shop(running, ground.nats.url, "", "")
                    working.begin()
                    yield House(ground, disk, running)
                    await working.end()


@pytest.fixture
def shop(house: House, source: str, staging: str, tmp_path: Path) -> Iterator[Shop]:
    """An organisation of the test's own."""
    found = Shop(house.rollbook, "", source, staging, own_organisation())
    with environments_of(house.rollbook.app, found.organisation, entries(source=source, staging=staging), tmp_path):
        yield found


async def deployed_once(shop: Shop, job: str, tries: int) -> None:
    """The rows are there once, and the history says so once."""
    async with asyncio.timeout(60):
        while (await anything(shop, job)) != "completed":
            await asyncio.sleep(0.1)
    assert (await shop.ask("GET", f"/jobs/{job}"))["retry_count"] <= tries
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == (SOLD, [(10,)])
    (made,) = await shop.deployments()
    assert (made["status"], await shop.actions(made["packageid"])) == (
        "completed",
        [("deploy", "completed"), ("pack", "completed")],
    )
    events = await shop.rollbook.app.log.fetch_after(0, 10_000)
    mine = [event.topic for event in events if event.organisation == shop.organisation]
    assert mine.count("data_deployment.deployed") == 1


async def anything(shop: Shop, job: str) -> str:
    """The job's status, or that nobody can tell."""
    headers = {"X-Organisation": shop.organisation}
    answered = await shop.rollbook.client.get(f"/api/jobs/{job}", headers=headers)
    return str(answered.json().get("status", answered.status_code))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_our_database_goes_away_while_a_deployment_is_made(house: House, shop: Shop, how: signal.Signals) -> None:
    package = await shop.pack()
    with held(shop.staging, "orders"):
        job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        await somebody_waits(shop.staging)
        await house.ground.stop_postgres(how)
    async with asyncio.timeout(20):
        while rows(shop.staging) != SOLD:
            await asyncio.sleep(0.05)
    await house.ground.postgres.start()
    await deployed_once(shop, job, tries=0)


async def test_our_databases_disk_is_full_while_a_deployment_is_made(house: House, shop: Shop) -> None:
    package = await shop.pack()
    with held(shop.staging, "orders"):
        job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        await somebody_waits(shop.staging)
        house.disk.fill(0)
        refused = await refused_now(shop, package)
    house.disk.clear()
    assert refused in (503, 507)
    await deployed_once(shop, job, tries=1)


async def refused_now(shop: Shop, package: str) -> int:
    """The status in which deployments are refused, once they are."""
    headers, body = {"X-Organisation": shop.organisation}, {"environment": "staging", "options": {"dry_run": True}}
    async with asyncio.timeout(30):
        while True:
            path = f"/api/packages/{package}/deploy"
            facts = {**body, "run_as_background": True, "schedule_at": "2999-01-01T00:00:00Z"}
            answered = await shop.rollbook.client.post(path, headers=headers, json=facts)
            if answered.status_code >= 500:
                return answered.status_code


async def test_nats_goes_away_while_a_deployment_is_made_and_is_wiped(house: House, shop: Shop) -> None:
    package = await shop.pack()
    with held(shop.staging, "orders"):
        job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        await somebody_waits(shop.staging)
        await house.ground.wipe_nats()
    await deployed_once(shop, job, tries=0)
    dry = [(await shop.deploy(package, 202, run_as_background=True, dry_run=True))["job_id"] for _ in range(5)]
    await house.ground.nats.start()
    assert {(await shop.job(one, "completed", "failed"))["status"] for one in dry} == {"completed"}
    found = (await shop.ask("GET", f"/packages/{package}/actions"))["actions"]
    assert [one["actionstatus"] for one in found if one["actiontype"] == "validate"] == ["completed"] * 5
