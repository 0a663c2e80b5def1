"""Whoever follows the log for webhooks, or delivers, is killed: every event still arrives, under one id."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import psycopg
import pytest

from tests.faults.ground import Ground
from tests.faults.instance import Instance
from tests.webhooks.receiver import Receiver, receiving

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
SETTINGS = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
LANE = {"name": "shop", "provider": "gcp", "environment": "production", "type": "k8s"}
PLACES = ("before_webhook_commit", "after_webhook_commit", "before_webhook_send", "after_webhook_send:2")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


async def ask(url: str, path: str, body: dict[str, Any]) -> Any:
    """Something that is made."""
    async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def events_and_no_lease(ground: Ground) -> list[str]:
    """What was recorded of deployments; and the time of whoever was killed runs out."""
    query = "select event_id::text from rollbook.events where topic like 'deployment.%' order by position"
    async with await psycopg.AsyncConnection.connect(ground.postgres.admin_url, autocommit=True) as admin:
        await admin.execute("update rollbook.webhook_followers set leased_until = null")
        return [event_id for (event_id,) in await (await admin.execute(query)).fetchall()]


@pytest.mark.parametrize("place", PLACES)
async def test_what_was_under_way_is_delivered_by_another_under_the_same_id(
    ground: Ground, receiver: Receiver, place: str
) -> None:
    await ground.start("project")
    serving = await ground.start("serve", SETTINGS)
    doomed = ground.instance(Instance, "work", SETTINGS)
    await doomed.start(place)
    hook = {"name": "hook", "url": receiver.url(), "filters": {"topics": ["deployment.*"]}}
    await ask(serving.url, "/v1/webhooks", hook)
    for version in ("1", "2", "3"):
        await ask(serving.url, "/v1/deployments", {**LANE, "version": version})
    await doomed.wait_dead()
    recorded = await events_and_no_lease(ground)
    await ground.start("work", SETTINGS)
    repeated = 1 if place.startswith("after_webhook_send") else 0
    came = await receiver.until(len(recorded) + repeated)
    assert list(dict.fromkeys(one.told["id"] for one in came)) == recorded
    assert len({one.headers["webhook-id"] for one in came}) == len(recorded)
