"""A job that is called off stops, in whatever it is: what it had begun is taken back, and the history says why."""

import asyncio

import pytest

from tests.deployments.conftest import SOLD, Shop, rows
from tests.deployments.dying import AT_WORK, held, somebody_waits

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="session")]
COUNT = "select count(*) from customers"
WHY = {"reason": "wrong one"}


async def call_off(shop: Shop, job: str) -> None:
    """Returns when it has stopped."""
    await shop.ask("POST", f"/jobs/{job}/cancel", json=WHY)
    stopped = await shop.job(job, "cancelled", "completed", "failed")
    assert stopped["status"] == "cancelled"


async def newest(shop: Shop, handler: str) -> str:
    """The job that was asked for last, once it is there."""
    async with asyncio.timeout(20):
        while not (found := await shop.ask("GET", "/jobs", params={"handler": handler}))["count"]:
            await asyncio.sleep(0.05)
    return str(found["jobs"][0]["job_id"])


async def nothing_remains(shop: Shop, package: str, action: str) -> None:
    """The target is as before and can be deployed to; the history has the reason."""
    assert rows(shop.staging, COUNT) == [(7,)]
    assert not rows(shop.staging, AT_WORK)
    found = (await shop.ask("GET", f"/packages/{package}/actions"))["actions"][0]
    assert (found["actiontype"], found["actionstatus"], found["errorlog"]) == (action, "failed", [WHY["reason"]])
    assert (await shop.deploy(package))["deployment"]["tables"]["orders"]["new"] == 3
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == (SOLD, [(10,)])


async def test_packing_stops_while_the_source_is_read(shop: Shop) -> None:
    with held(shop.source, "orders"):
        asking = asyncio.create_task(shop.pack())
        await somebody_waits(shop.source)
        job = await newest(shop, "PACKAGE_PACKING")
        await call_off(shop, job)
        assert not rows(shop.source, AT_WORK)
    with pytest.raises(AssertionError, match="The job was cancelled"):
        await asking
    found = await shop.ask("GET", f"/packages/pkg-{job.removeprefix('pack-')}/actions")
    assert [(one["actionstatus"], one["errorlog"]) for one in found["actions"]] == [("failed", ["wrong one"])]
    await shop.pack()


@pytest.mark.parametrize("table", ["customers", "orders"])
async def test_deploying_stops_at_every_table(shop: Shop, table: str) -> None:
    package = await shop.pack()
    with held(shop.staging, table):
        job = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        await somebody_waits(shop.staging)
        await call_off(shop, job)
        assert not rows(shop.staging, AT_WORK)
    await nothing_remains(shop, package, "deploy")


async def test_a_dry_run_stops(shop: Shop) -> None:
    package = await shop.pack()
    with held(shop.staging, "orders"):
        job = (await shop.deploy(package, 202, run_as_background=True, dry_run=True))["job_id"]
        await somebody_waits(shop.staging)
        await call_off(shop, job)
    await nothing_remains(shop, package, "validate")


async def test_a_deployment_stops_that_waits_for_another_one(shop: Shop) -> None:
    package = await shop.pack()
    with held(shop.staging, "customers"):
        first = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        await somebody_waits(shop.staging)
        second = (await shop.deploy(package, 202, run_as_background=True))["job_id"]
        async with asyncio.timeout(20):
            while not ((await shop.ask("GET", f"/jobs/{second}"))["progress"] or {}).get("waits"):
                await asyncio.sleep(0.05)
        await call_off(shop, second)
        await call_off(shop, first)
    await nothing_remains(shop, package, "deploy")


async def test_a_deployment_stops_while_one_that_it_depends_on_is_made(shop: Shop) -> None:
    people = await shop.pack("people", "1", "customers", match_keys={"customers": ["name"]})
    sales = await shop.pack("sales", "1", dependencies=[people])
    with held(shop.staging, "customers"):
        job = (await shop.deploy(sales, 202, run_as_background=True))["job_id"]
        await somebody_waits(shop.staging)
        await call_off(shop, job)
    assert await shop.actions(people) == [("deploy", "failed"), ("pack", "completed")]
    await nothing_remains(shop, sales, "deploy")
    assert (await shop.actions(people))[0] == ("deploy", "completed")


async def test_a_deployment_that_waits_for_another_try_never_gets_it(shop: Shop) -> None:
    package = await shop.pack()
    job = (await shop.deploy(package, 202, to="away", run_as_background=True))["job_id"]
    await shop.job(job, "retry")
    await call_off(shop, job)
    await nothing_remains(shop, package, "deploy")


@pytest.mark.parametrize("table", ["customers", "orders"])
async def test_a_rollback_stops_and_what_was_deployed_stays(shop: Shop, table: str) -> None:
    package = await shop.pack()
    made = (await shop.deploy(package))["deployment"]["id"]
    with held(shop.staging, table):
        asking = asyncio.create_task(shop.answer("POST", f"/deployments/{made}/rollback", 409, json={}))
        await somebody_waits(shop.staging)
        await call_off(shop, await newest(shop, "PACKAGE_ROLLBACK"))
    await asyncio.wait([asking])
    told = await shop.deployment(made)
    assert (told["status"], told["isactive"], rows(shop.staging)) == ("completed", True, SOLD)
    assert (await shop.actions(package))[0] == ("rollback", "failed")
    await shop.roll_back(made)
    assert rows(shop.staging, COUNT) == [(7,)]
