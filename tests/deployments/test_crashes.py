"""A worker is killed at every step of a deployment or a rollback: another one finishes it, once and whole."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.embedded.nats import EmbeddedNats
from domain.installation import Installation
from tests.conftest import Database, running_rollbook, settings_for
from tests.deployments.conftest import SOLD, Shop, entries, rows

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
COUNT = "select count(*) from customers"
OF_ANY = ["after_job_start", "before_job_end", "after_job_end"]
OF_DEPLOYING = [
    "before_start_deployment",
    "after_start_deployment",
    "before_begin_dependency",
    "after_begin_dependency",
    "before_finish_dependency",
    "after_finish_dependency",
    "before_change_installation",
    "after_change_installation",
    *(f"progress:{n}" for n in (2, 5, 9)),
]
OF_PACKING = ["before_start_packing", "after_start_packing", "progress:1", "progress:2", "before_job_end"]
OF_ROLLING_BACK = ["before_change_installation", "after_change_installation", "progress:2"]


@pytest.fixture
async def shop(
    database: Database, tmp_path: Path, nats_server: EmbeddedNats, source: str, staging: str
) -> AsyncIterator[Shop]:
    """Everything but workers runs here; workers are processes."""
    file = tmp_path / "environments.yaml"
    file.write_text(json.dumps(entries(source=source, staging=staging)))
    settings = settings_for(tmp_path, environments_file=file)
    async with running_rollbook(settings, database) as running:
        yield Shop(running, nats_server.url, source, staging)


class Workers:
    """Worker processes on the databases of a shop."""

    def __init__(self, shop: Shop, database: Database) -> None:
        settings = shop.rollbook.app.settings
        self.environment = {
            "PATH": os.environ["PATH"],
            "DATA_DIR": str(settings.data_dir),
            "DATABASE_URL": database.app_url,
            "NATS_URL": shop.nats_url,
            "ENVIRONMENTS_FILE": str(settings.environments_file),
            "MANAGEMENT_PORT": "0",
        }

    async def start(self, failpoint: str = "") -> asyncio.subprocess.Process:
        """One that dies at this place."""
        command = [str(Path(sys.executable).parent / "rollbook"), "work"]
        environment = self.environment | ({"ROLLBOOK_FAILPOINT": failpoint} if failpoint else {})
        return await asyncio.create_subprocess_exec(*command, env=environment, start_new_session=True)

    async def die_and_be_followed(self, failpoint: str, shop: Shop, job: str) -> None:
        """One dies at this place; another one works until the job has ended."""
        first = await self.start(failpoint)
        assert await asyncio.wait_for(first.wait(), 60) == -9
        if not await has_ended(shop, job):
            await self.follow(shop, job)

    async def follow(self, shop: Shop, job: str) -> None:
        """One works until the job has ended."""
        second = await self.start()
        try:
            async with asyncio.timeout(90):
                while not await has_ended(shop, job):
                    await asyncio.sleep(0.1)
        finally:
            second.terminate()
            assert await asyncio.wait_for(second.wait(), 20) == 0


async def has_ended(shop: Shop, job: str) -> bool:
    """Whether nobody works on the job any more."""
    return (await shop.ask("GET", f"/jobs/{job}"))["status"] in ("completed", "failed")


async def chain(shop: Shop) -> tuple[str, str]:
    """Sales, which depend on people; the ids of both packages. Afterwards nobody is at work."""
    shop.begin()
    people = await shop.pack("people", "1", "customers", match_keys={"customers": ["name"]})
    sales = await shop.pack("sales", "1", dependencies=[people])
    await shop.end()
    return people, sales


async def everything_is_there_once(shop: Shop, people: str, sales: str) -> None:
    """Rows, deployments, actions and events; and nobody holds what others may want to change."""
    assert rows(shop.staging) == SOLD
    assert rows(shop.staging, COUNT) == [(10,)]
    told = {one["packageid"]: (one["status"], one["isactive"]) for one in await shop.deployments()}
    assert told == {people: ("completed", True), sales: ("completed", True)}
    for package in (people, sales):
        assert await shop.actions(package) == [("deploy", "completed"), ("pack", "completed")]
    await nobody_holds(shop, "people", "sales")
    events = await shop.rollbook.app.log.fetch_after(0, 10_000)
    assert [event.topic for event in events].count("data_deployment.deployed") == 2


async def nobody_holds(shop: Shop, *packages: str) -> None:
    """Others may change what was changed."""
    for package in packages:
        where = Installation.id_of("acme", "staging", package)
        stream = f"installation-{where}"
        found = await shop.rollbook.app.store.load("acme", [stream])
        assert found[stream].holder is None


@pytest.mark.parametrize("place", OF_PACKING)
async def test_a_package_is_packed_once_wherever_its_worker_dies(shop: Shop, database: Database, place: str) -> None:
    asking = asyncio.create_task(shop.pack())
    async with asyncio.timeout(20):
        while not (found := await shop.ask("GET", "/jobs?handler=PACKAGE_PACKING"))["count"]:
            await asyncio.sleep(0.05)
    job = found["jobs"][0]["job_id"]
    await Workers(shop, database).die_and_be_followed(place, shop, job)
    await asyncio.gather(asking, return_exceptions=True)
    package = f"pkg-{job.removeprefix('pack-')}"
    assert await shop.actions(package) == [("pack", "completed")]
    shop.begin()
    assert (await shop.deploy(package))["deployment"]["tables"]["orders"]["new"] == 3
    await shop.end()
    assert rows(shop.staging) == SOLD


@pytest.mark.parametrize("place", [*OF_ANY, *OF_DEPLOYING])
async def test_a_deployment_is_made_once_wherever_its_worker_dies(shop: Shop, database: Database, place: str) -> None:
    people, sales = await chain(shop)
    job = (await shop.deploy(sales, 202, run_as_background=True))["job_id"]
    await Workers(shop, database).die_and_be_followed(place, shop, job)
    assert (await shop.ask("GET", f"/jobs/{job}"))["status"] == "completed"
    await everything_is_there_once(shop, people, sales)


@pytest.mark.parametrize("place", [*OF_ANY, *OF_ROLLING_BACK])
async def test_a_rollback_is_made_once_wherever_its_worker_dies(shop: Shop, database: Database, place: str) -> None:
    shop.begin()
    package = await shop.pack()
    made = (await shop.deploy(package))["deployment"]
    await shop.end()
    asking = asyncio.create_task(shop.answer("POST", f"/deployments/{made['id']}/rollback", json={}))
    async with asyncio.timeout(20):
        while not (found := await shop.ask("GET", "/jobs?handler=PACKAGE_ROLLBACK"))["count"]:
            await asyncio.sleep(0.05)
    await Workers(shop, database).die_and_be_followed(place, shop, found["jobs"][0]["job_id"])
    await asyncio.gather(asking, return_exceptions=True)
    assert (await shop.deployment(made["id"]))["status"] == "rolled_back"
    assert (await shop.actions(package))[0] == ("rollback", "completed")
    assert rows(shop.staging, COUNT) == [(7,)]
    await nobody_holds(shop, "shop-data")


async def test_a_job_whose_workers_all_die_fails_and_leaves_nothing_open(shop: Shop, database: Database) -> None:
    people, sales = await chain(shop)
    job = (await shop.deploy(sales, 202, run_as_background=True))["job_id"]
    workers = Workers(shop, database)
    for _ in range(4):
        dying = await workers.start("after_begin_dependency")
        assert await asyncio.wait_for(dying.wait(), 90) == -9
    await workers.follow(shop, job)
    failed = await shop.ask("GET", f"/jobs/{job}")
    assert "worker" in failed["last_error"]
    assert {one["status"] for one in await shop.deployments()} == {"failed"}
    for package in (people, sales):
        assert (await shop.actions(package))[0] == ("deploy", "failed")
    await nobody_holds(shop, "people")
    assert rows(shop.staging, COUNT) == [(7,)]


async def test_a_target_that_is_away_is_tried_again_and_then_answered_by_503(shop: Shop) -> None:
    shop.begin()
    package = await shop.pack()
    refused = await shop.deploy(package, 503, to="away")
    await shop.end()
    assert "does not answer" in refused["error"]
    assert "secret" not in refused["error"]
    (failed,) = await shop.deployments()
    assert (failed["status"], failed["errorlog"]) == ("failed", [refused["error"]])
    assert (await shop.ask("GET", f"/jobs/{failed['id']}"))["retry_count"] == 3
