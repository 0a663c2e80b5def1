"""Who follows the feed from the middle of a deployment of data is told what it is about."""

import asyncio

import pytest

from tests.cli.stand_in import rollbook
from tests.deployments.conftest import Shop
from tests.feed.subscriber import everything

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_tail_that_begins_late_knows_data_deployments_and_jobs(shop: Shop) -> None:
    await shop.deploy(await shop.pack())
    wanted = ["data_deployment.*", "job.*"]
    told = await everything(shop.rollbook.client, shop.organisation, topic=wanted)
    start = max(one["position"] for one in told if one["topic"].endswith(".requested"))
    asked = ("events", "tail", "--from", str(start), "--no-follow", "--topic", wanted[0], "--topic", wanted[1])
    ended = await asyncio.to_thread(rollbook, *asked, API_URL=shop.rollbook.url, ORG=shop.organisation)
    said = {line.split()[2]: " ".join(line.split()[3:-1]) for line in ended.out.splitlines()}
    assert said == {
        "data_deployment.started": "shop-data/staging 1.0.0",
        "data_deployment.deployed": "shop-data/staging 1.0.0",
        "job.started": "PACKAGE_DEPLOYMENT staging",
        "job.completed": "PACKAGE_DEPLOYMENT staging",
    }
