"""Postgres and NATS go away under load and come back: Rollbook heals by itself, and nothing was lost meanwhile."""

import asyncio
import signal
from collections.abc import Callable
from time import monotonic

import httpx2
import pytest

from tests.faults.checks import everything_holds
from tests.faults.ground import Ground
from tests.faults.load import Ledger, body
from tests.faults.patience import CLIENTS, Load

pytestmark = pytest.mark.timeout(180)
CLAIMED = body(0, "claimed") | {"name": "claimed"}


async def claim_for_five_seconds(url: str) -> str:
    """A claim whose runner is never heard of again; the deployment."""
    lane = {name: CLAIMED[name] for name in ("name", "provider", "cloud_account_id", "region", "environment")}
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        await http.post("/v1/deployments", json=CLAIMED)
        claim = {"lanes": [lane], "runner": "silent", "lease_seconds": 5}
        answer = await http.post("/v1/deployments/claim", json=claim)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])


async def wait_returned(url: str, deployment_id: str) -> None:
    """Until housekeeping has put it back into its queue."""
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        for _ in range(300):
            answer = await http.get(f"/v1/deployments/{deployment_id}")
            if answer.status_code == 200 and answer.json()["status"] == "scheduled":
                return
            await asyncio.sleep(0.1)
    raise AssertionError(answer.text)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
async def test_a_restart_of_postgres_under_load_is_healed(
    ground: Ground, how: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    async with Load(rollbook.url, ledger) as load:
        await load.acknowledged(100)
        claimed = await claim_for_five_seconds(rollbook.url)
        await ground.stop_postgres(how)
        await load.answered(503, more=CLIENTS)
        await rollbook.says(ready=False)
        await ground.postgres.start()
        back = monotonic()
        await load.acknowledged(1)
        record_property("seconds_to_first_answer", seconds := round(monotonic() - back, 2))
        print(f"Postgres back after {how.name}: first command acknowledged after {seconds} s")
        await rollbook.says(ready=True)
        await load.acknowledged(100)
        await wait_returned(rollbook.url, claimed)
    await everything_holds(rollbook, ledger)
