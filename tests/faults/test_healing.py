"""Postgres and NATS go away under load and come back: Rollbook heals by itself, and nothing was lost meanwhile."""

import asyncio
import signal
from collections.abc import Callable
from time import monotonic
from typing import Any

import httpx2
import psycopg
import pytest

from tests.faults.checks import admin_url, everything_holds
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


async def terminate_connections(admin: psycopg.AsyncConnection[Any]) -> set[str]:
    """Every connection but this one; what they were for."""
    query = """select application_name, pg_terminate_backend(pid) from pg_stat_activity
                where backend_type = 'client backend' and pid <> pg_backend_pid()"""
    return {row[0] for row in await (await admin.execute(query)).fetchall()}


async def test_connections_that_are_terminated_again_and_again_are_made_again(ground: Ground) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    terminated: set[str] = set()
    admin_connection = psycopg.AsyncConnection.connect(admin_url(ground.folder), autocommit=True)
    async with Load(rollbook.url, ledger) as load, await admin_connection as admin:
        for _ in range(20):
            await load.acknowledged(10)
            terminated |= await terminate_connections(admin)
        await load.acknowledged(50)
    assert terminated >= {f"rollbook {name}" for name in ("writer", "reader", "projector", "listener")}
    assert not load.statuses[503]
    await everything_holds(rollbook, ledger)


async def test_a_wiped_nats_is_filled_again_while_the_api_goes_on(ground: Ground) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    async with Load(rollbook.url, ledger) as load:
        await load.acknowledged(100)
        await ground.wipe_nats()
        await rollbook.says(ready=True, degraded=True)
        await load.acknowledged(100)
        await ground.nats.start()
        await rollbook.says(ready=True, degraded=False)
        await load.acknowledged(50)
    assert not load.statuses[503]
    await everything_holds(rollbook, ledger)


async def test_every_request_ends_while_postgres_stands_still(ground: Ground) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    async with Load(rollbook.url, ledger) as load:
        await load.acknowledged(100)
        ground.pause_postgres()
        try:
            await load.answered(503, more=CLIENTS)
            await rollbook.says(ready=False)
        finally:
            ground.resume_postgres()
        await load.acknowledged(100)
        await rollbook.says(ready=True)
    await everything_holds(rollbook, ledger)
