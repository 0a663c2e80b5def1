"""Packages that a package depends on are deployed before it, once, each as a deployment of its own."""

import pytest

from tests.deployments.conftest import SCHEMA, SOLD, Shop, rows, run

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = "select count(*) from customers"


async def chain(shop: Shop) -> tuple[str, str]:
    """Orders, which depend on customers; the ids of both packages."""
    customers = await shop.pack("people", "1", "customers", match_keys={"customers": ["name"]})
    run(shop.staging, "drop table orders, customers; " + SCHEMA)
    orders = await shop.pack("sales", "1", "customers", "orders", dependencies=[customers])
    return customers, orders


async def test_what_a_package_depends_on_is_deployed_first_and_only_once(shop: Shop) -> None:
    customers, orders = await chain(shop)
    made = (await shop.deploy(orders))["deployment"]
    newest_first = [(one["packageid"], one["status"], one["isactive"]) for one in await shop.deployments()]
    assert sorted(newest_first) == sorted([(orders, "completed", True), (customers, "completed", True)])
    (first,) = await shop.deployments(package=customers)
    assert first["deployedat"] < made["deployed_at"]
    assert await shop.actions(customers) == [("deploy", "completed"), ("pack", "completed")]
    await shop.deploy(orders)
    assert len(await shop.deployments(package="people")) == 1
    assert rows(shop.staging) == SOLD


async def test_a_dependency_that_was_taken_back_is_deployed_anew(shop: Shop) -> None:
    customers, orders = await chain(shop)
    second = (await shop.deploy(orders))["deployment"]
    (first,) = await shop.deployments(package=customers)
    await shop.roll_back(second["id"])
    await shop.roll_back(first["id"])
    await shop.deploy(orders)
    assert [one["status"] for one in await shop.deployments(package=customers)] == ["completed", "rolled_back"]
    assert rows(shop.staging) == SOLD


async def test_a_dependency_that_fails_fails_the_whole_and_says_so(shop: Shop) -> None:
    customers, orders = await chain(shop)
    run(shop.staging, "alter table customers rename to people")
    refused = await shop.deploy(orders, 400)
    assert refused["error"].startswith(f"{customers}, which the package depends on: ")
    assert "customers" in refused["error"]
    told = {one["packageid"]: (one["status"], one["errorlog"]) for one in await shop.deployments()}
    assert told == {one: ("failed", [refused["error"]]) for one in (customers, orders)}
    assert (await shop.actions(customers))[0] == ("deploy", "failed")
    run(shop.staging, "alter table people rename to customers")
    (failed,) = await shop.deployments(package=orders)
    await shop.ask("POST", f"/jobs/{failed['id']}/retry")
    await shop.job(failed["id"], "completed")
    assert {one["status"] for one in await shop.deployments()} == {"completed"}
    assert await shop.actions(customers) == [("deploy", "completed"), ("deploy", "failed"), ("pack", "completed")]
    assert rows(shop.staging) == SOLD


async def test_a_dry_run_says_what_would_come_first_and_deploys_nothing(shop: Shop) -> None:
    customers, orders = await chain(shop)
    tried = (await shop.deploy(orders, dry_run=True))["deployment"]
    assert tried["warnings"] == [f"{customers} would be deployed first"]
    assert rows(shop.staging, COUNT) == [(0,)]
    await shop.deploy(customers)
    assert (await shop.deploy(orders, dry_run=True))["deployment"]["warnings"] == []


async def test_a_dependency_that_was_deleted_is_missed_only_where_it_is_not_deployed(shop: Shop) -> None:
    customers, orders = await chain(shop)
    await shop.deploy(customers)
    await shop.ask("DELETE", f"/packages/{customers}")
    await shop.deploy(orders)
    (made,) = await shop.deployments(package=orders)
    await shop.roll_back(made["id"])
    (there,) = await shop.deployments(package=customers)
    await shop.roll_back(there["id"])
    assert customers in (await shop.deploy(orders, 404))["error"]
