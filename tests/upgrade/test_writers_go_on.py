"""Who writes is answered from the log, also where read models stand still, as an older release's do in an update."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from entrypoints.composition import build
from tests.conftest import Database, settings_for

BODY = {"name": "shop", "version": "1", "provider": "gcp", "environment": "production", "type": "k8s"}
ACME = {"X-Organisation": "acme"}
MOVED = ("updated_at", "version_number", "position")


@pytest.fixture
async def beside(database: Database, tmp_path: Path) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Two API processes, and nobody who keeps read models."""
    settings = settings_for(tmp_path, read_wait_ms=50)
    apps = [await build(settings, database.app_url) for _ in range(2)]
    clients = [
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app.api()), base_url="http://t", headers=ACME) for app in apps
    ]
    yield clients
    for client, app in zip(clients, apps, strict=True):
        await client.aclose()
        await app.close()


async def command(client: httpx2.AsyncClient, method: str, path: str, key: str, **facts: Any) -> dict[str, Any]:
    """What a command answers."""
    answer = await client.request(method, path, headers={"Idempotency-Key": key}, **facts)
    assert answer.status_code in (200, 201), answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_command_is_answered_by_a_process_that_never_saw_its_deployment(
    beside: list[httpx2.AsyncClient],
) -> None:
    one, other = beside
    made = await command(one, "POST", "/v1/deployments", "a", json=BODY)
    path = f"/v1/deployments/{made['id']}"
    assert (await one.get(path)).status_code == 503, "nobody keeps read models"
    started = await command(other, "PATCH", path, "b", json={"status": "in_progress"})
    deployed = await command(one, "PATCH", path, "c", json={"status": "deployed", "notes": "went well"})
    assert [made["status"], started["status"], deployed["status"]] == ["scheduled", "in_progress", "deployed"]
    assert deployed == {**made, **{name: deployed[name] for name in ("status", "notes", *MOVED)}}


async def test_a_repeat_is_answered_as_the_first_time_by_whichever_process(beside: list[httpx2.AsyncClient]) -> None:
    one, other = beside
    made = await command(one, "POST", "/v1/deployments", "a", json=BODY)
    path = f"/v1/deployments/{made['id']}"
    started = await command(one, "PATCH", path, "b", json={"status": "in_progress"})
    await command(one, "PATCH", path, "c", json={"status": "failed"})
    for client in (other, one):
        assert await command(client, "POST", "/v1/deployments", "a", json=BODY) == made
        assert await command(client, "PATCH", path, "b", json={"status": "in_progress"}) == started
