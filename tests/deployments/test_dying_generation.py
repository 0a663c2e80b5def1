"""A worker is killed at every step of making a file: another one makes it, once and whole."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import Database
from tests.deployments import test_crashes as crashes
from tests.deployments.conftest import Shop

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
PLACES = [
    *crashes.OF_ANY,
    "before_start_export",
    "after_start_export",
    *(f"progress:{n}" for n in (1, 2, 3, 4)),
]
# Everything but workers runs here; workers are processes.
shop = crashes.shop


async def to_be_made(shop: Shop) -> tuple[str, str]:
    """A package, and the job that is to make a file of it. Nobody is at work."""
    shop.begin()
    package = await shop.pack()
    await shop.end()
    body = {"format": "bundle", "background": True}
    return package, (await shop.ask("POST", f"/packages/{package}/generate", 202, json=body))["job_id"]


async def kept(shop: Shop) -> list[str]:
    """The files that are kept for whoever fetches them."""
    return [blob.digest async for blob in shop.rollbook.app.exporter.files.kept_before(datetime.now(UTC))]


@pytest.mark.parametrize("place", PLACES)
async def test_a_file_is_made_once_wherever_its_worker_dies(shop: Shop, database: Database, place: str) -> None:
    package, job = await to_be_made(shop)
    await crashes.Workers(shop, database).die_and_be_followed(place, shop, job)
    made: Any = await shop.ask("GET", f"/jobs/{job}")
    assert made["status"] == "completed"
    assert await shop.actions(package) == [("export", "completed"), ("pack", "completed")]
    assert await kept(shop) == [made["result"]["checksum"]]
    fetched = await shop.answer("GET", f"/jobs/{job}/file")
    at_once = await shop.answer("POST", f"/packages/{package}/generate", json={"format": "bundle"})
    assert fetched.content == at_once.content
    events = await shop.rollbook.app.log.fetch_after(0, 10_000)
    assert [event.topic for event in events].count("package.exported") == 2


async def test_a_file_whose_workers_all_die_is_a_failed_action_and_not_there(shop: Shop, database: Database) -> None:
    package, job = await to_be_made(shop)
    workers = crashes.Workers(shop, database)
    for _ in range(4):
        dying = await workers.start("progress")
        assert await asyncio.wait_for(dying.wait(), 90) == -9
    await workers.follow(shop, job)
    assert "worker" in (await shop.ask("GET", f"/jobs/{job}"))["last_error"]
    assert await shop.actions(package) == [("export", "failed"), ("pack", "completed")]
    assert await kept(shop) == []
    await shop.ask("GET", f"/jobs/{job}/file", 404)
