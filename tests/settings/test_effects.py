"""Settings change what they say: those whose effect no other test sees."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Database, Running, running_rollbook, settings_for

LANE = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu"}
NEW = {**LANE, "version": "1", "environment": "production", "type": "k8s"}
CLAIM = {"lanes": [LANE], "runner": "runner-1"}


@pytest.fixture
async def patient(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Rollbook whose claims last half an hour."""
    async with running_rollbook(settings_for(tmp_path, lease_seconds=1800), database) as running:
        await running.client.post("/v1/deployments", json=NEW)
        yield running


def lasts(lease: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(lease["expires_at"]) - datetime.now(UTC)


async def test_a_claim_and_its_heartbeat_last_as_the_settings_say(patient: Running) -> None:
    claimed = (await patient.client.post("/v1/deployments/claim", json=CLAIM)).json()
    assert timedelta(minutes=25) < lasts(claimed["lease"]) <= timedelta(minutes=30)
    heartbeat = f"/v1/deployments/{claimed['id']}/heartbeat"
    kept = await patient.client.post(heartbeat, json={"fence": claimed["lease"]["fence"]})
    assert timedelta(minutes=25) < lasts(kept.json()) <= timedelta(minutes=30)


async def test_a_runner_may_ask_for_another_lease(patient: Running) -> None:
    claimed = await patient.client.post("/v1/deployments/claim", json={**CLAIM, "lease_seconds": 60})
    assert lasts(claimed.json()["lease"]) <= timedelta(minutes=1)
    for refused in (4, 3601):
        answer = await patient.client.post("/v1/deployments/claim", json={**CLAIM, "lease_seconds": refused})
        assert answer.status_code == 422


async def test_a_release_without_an_environment_goes_where_the_settings_say(database: Database, tmp_path: Path) -> None:
    async with running_rollbook(settings_for(tmp_path, default_environment="staging"), database) as running:
        for sent, goes_to in (({}, "staging"), ({"environment": None}, "staging"), ({"environment": "eu"}, "eu")):
            body = {name: value for name, value in NEW.items() if name != "environment"} | sent
            made = await running.client.post("/v1/deployments", json=body)
            assert (made.status_code, made.json()["environment"]) == (201, goes_to)
