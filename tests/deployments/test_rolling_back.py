"""A deployment that later ones rest on is not taken back from below them, whenever that was asked for."""

import asyncio

import pytest

from tests.deployments.conftest import SOLD, Shop, rows
from tests.deployments.dying import held, somebody_waits

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = "select count(*) from customers"


async def test_what_came_first_is_rolled_back_last(shop: Shop) -> None:
    package = await shop.pack()
    first, second = [(await shop.deploy(package))["deployment"]["id"] for _ in range(2)]
    refused = await shop.roll_back(first, 409)
    assert refused["error"] == f"{second} came later: roll that one back first, or force the rollback"
    assert (await shop.deployment(first))["status"] == "completed"
    await shop.roll_back(second)
    await shop.roll_back(first)
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == ([], [(7,)])


async def test_what_came_first_is_rolled_back_before_the_later_one_when_forced(shop: Shop) -> None:
    package = await shop.pack()
    first, second = [(await shop.deploy(package))["deployment"]["id"] for _ in range(2)]
    await shop.roll_back(first, force=True)
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == ([], [(7,)])
    assert (await shop.deployment(second))["isactive"] is True


async def test_a_rollback_is_refused_when_a_deployment_was_faster_after_it_was_asked_for(shop: Shop) -> None:
    package = await shop.pack()
    first = (await shop.deploy(package))["deployment"]["id"]
    with held(shop.staging, "orders"):
        later = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        await somebody_waits(shop.staging)
        asking = asyncio.create_task(shop.roll_back(first, 409))
        (back,) = await waiting_jobs(shop)
    assert (await shop.job(later, "completed", "failed"))["status"] == "completed"
    assert f"{later} came later" in (await asyncio.wait_for(asking, 20))["error"]
    assert (await shop.job(back, "failed", "completed"))["status"] == "failed"
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == (SOLD, [(10,)])
    assert [one["status"] for one in await shop.deployments()] == ["completed", "completed"]
    await shop.roll_back(later)
    await shop.roll_back(first)
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == ([], [(7,)])


async def waiting_jobs(shop: Shop) -> list[str]:
    """The jobs that wait for another one, once there are any."""
    async with asyncio.timeout(20):
        while True:
            jobs = (await shop.ask("GET", "/jobs?status=processing"))["jobs"]
            if found := [one["job_id"] for one in jobs if (one["progress"] or {}).get("waits")]:
                return found
            await shop.rollbook.app.log.wait_beyond(shop.rollbook.app.log.seen)
