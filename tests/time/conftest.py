"""What the tests of time share: an organisation's queue, the position it has come to, corrections."""

from typing import Any

from tests.kernel.conftest import kernel
from tests.queue.conftest import Queue, queue

__all__ = ["kernel", "queue"]


async def position(queue: Queue) -> int:
    """How far the organisation's log is."""
    answer = await queue.client.get("/v1/organisation", headers=queue.headers)
    return int(answer.headers["x-rollbook-position"])


async def correct(queue: Queue, deployment: Any, went_live_at: str, expect: int = 201, **facts: Any) -> Any:
    """Somebody says when it really went live."""
    path, body = f"/v1/deployments/{deployment['id']}/corrections", {"reason": "The log of the cluster says so"}
    return await queue.ask("POST", path, expect, json={**body, "went_live_at": went_live_at}, **facts)


async def live(queue: Queue, **params: Any) -> dict[str, str]:
    """The version that is or was live in each environment."""
    return {one["environment"]: one["version"] for one in await queue.ask("GET", "/v1/lanes/current", params=params)}
