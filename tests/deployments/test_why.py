"""Why the rows of a package are there, or are not: package, signer, job, tries, what it depends on and replaces."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.deployments.conftest import Shop, run

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def why(shop: Shop, deployment: str, **query: Any) -> Any:
    """What is told of a deployment."""
    return await shop.ask("GET", f"/deployments/{deployment}/why", params=query)


def kinds(told: Any) -> list[str]:
    """The kinds of its reasons."""
    return [one["kind"] for one in told["verdict"]["reasons"]]


async def test_what_is_there_is_told_from_package_to_rows(shop: Shop) -> None:
    made = (await shop.deploy(await shop.pack()))["deployment"]
    told = await why(shop, made["id"])
    assert (told["verdict"]["state"], told["status"], told["package"]) == ("live", "completed", "shop-data")
    assert told["verdict"]["reasons"][0]["words"] == "Its rows are in staging: 6 new"
    topics = [link["topic"] for link in told["chain"]]
    assert topics[0] == "package.defined"
    for topic in ("package.packing_finished", "job.requested", "job.started", "installation.topped", "job.completed"):
        assert topic in topics
    words = [link["summary"] for link in told["chain"]]
    assert "Deployment of shop-data 1.0.0 to staging requested" in words
    assert [link["position"] for link in told["chain"]] == sorted({link["position"] for link in told["chain"]})


async def test_a_later_one_replaces_it_until_that_is_taken_back(shop: Shop) -> None:
    first = (await shop.deploy(await shop.pack()))["deployment"]
    second = (await shop.deploy(await shop.pack(version="1.1.0"), update_existing=True))["deployment"]
    told = await why(shop, first["id"])
    assert kinds(told) == ["replaced"]
    assert told["verdict"]["reasons"][0]["refers_to"] == {"kind": "deployment", "id": second["id"]}
    then = told["chain"][-1]["position"]
    await shop.roll_back(second["id"])
    assert kinds(await why(shop, first["id"])) == ["live"]
    assert kinds(await why(shop, second["id"])) == ["rolled_back"]
    assert kinds(await why(shop, first["id"], as_of=str(then))) == ["replaced"]


async def test_what_failed_tells_why(shop: Shop) -> None:
    package = await shop.pack()
    run(shop.staging, "alter table orders rename to sales")
    await shop.deploy(package, 400)
    (failed,) = await shop.deployments(status="failed")
    told = await why(shop, failed["id"])
    assert (kinds(told), "orders" in told["verdict"]["reasons"][0]["words"]) == (["failed"], True)


async def test_what_waits_tells_until_when_and_what_is_called_off_by_whom(shop: Shop) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    waiting = await shop.deploy(await shop.pack(), 202, schedule_at=later)
    told = await why(shop, waiting["job_id"])
    assert kinds(told) == ["not_due"]
    assert told["verdict"]["reasons"][0]["refers_to"] == {"kind": "job", "id": waiting["job_id"]}
    await shop.ask("POST", f"/jobs/{waiting['job_id']}/cancel", json={"reason": "not now"})
    words = (await why(shop, waiting["job_id"]))["verdict"]["reasons"][0]["words"]
    assert words == "It was called off by local-dev, and nothing of it is there: not now"


async def test_what_is_unknown_is_not_told(shop: Shop) -> None:
    assert "not found" in (await shop.ask("GET", "/deployments/deploy-x/why", 404))["error"]
