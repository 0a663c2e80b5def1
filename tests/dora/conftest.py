"""What the tests of the figures share: an organisation's queue, and questions about its past."""

from typing import Any

from tests.kernel.conftest import kernel
from tests.queue.conftest import Queue, queue

__all__ = ["kernel", "queue"]
NOBODY = "00000000-0000-4000-8000-000000000000"


async def report(queue: Queue, expect: int = 201, **fields: Any) -> Any:
    """An incident."""
    body = {"title": "Checkout is down", "began_at": "2026-01-01T12:00:00Z", **fields}
    return await queue.ask("POST", "/v1/incidents", expect, json=body)


async def change(queue: Queue, incident: Any, what: str, expect: int = 200, **body: Any) -> Any:
    """Something becomes known of an incident."""
    return await queue.ask("POST", f"/v1/incidents/{incident['id']}/{what}", expect, json=body)


async def position(queue: Queue) -> str:
    """How far the log is."""
    answer = await queue.client.get("/v1/incidents", headers=queue.headers)
    return str(answer.headers["x-rollbook-position"])


async def dora(queue: Queue, expect: int = 200, **params: Any) -> Any:
    """The figures; `begin` is where they begin."""
    asked = {"from" if name == "begin" else name: value for name, value in params.items()}
    return await queue.ask("GET", "/v1/metrics/dora", expect, params=asked)
