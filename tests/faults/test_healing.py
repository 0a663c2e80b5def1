"""Postgres and NATS go away under load and come back: Rollbook heals by itself, and nothing was lost meanwhile."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import httpx2
import psycopg
import pytest

from tests.faults.checks import admin_url, everything_holds
from tests.faults.ground import Ground
from tests.faults.instance import Instance
from tests.faults.load import Ledger, body
from tests.faults.patience import CLIENTS, Load, is_clear_refusal

pytestmark = [pytest.mark.timeout(180), pytest.mark.faults]
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


@contextmanager
def healing(after: str, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Says how long it took."""
    broken = monotonic()
    yield
    seconds = round(monotonic() - broken, 2)
    record_property(f"seconds: {after}", seconds)
    print(f"\n{after}: all is well after {seconds} s")


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
        with healing(f"Postgres is back after {how.name}", record_property):
            await load.acknowledged(1)
        await rollbook.says(ready=True)
        await load.acknowledged(100)
        await wait_returned(rollbook.url, claimed)
    await everything_holds(rollbook, ledger)


@pytest.mark.parametrize("program", ["postgres", "nats-server"])
async def test_a_server_of_ours_that_is_killed_alone_is_started_again(
    instance: Instance, program: str, record_property: Callable[[str, object], None]
) -> None:
    ledger = Ledger()
    await instance.start()
    async with Load(instance.url, ledger) as load:
        for _ in range(3):
            await load.acknowledged(100)
            instance.member(program).kill()
            with healing(f"{program} was killed", record_property):
                await load.acknowledged(CLIENTS + 1)
        await instance.says(ready=True)
    await everything_holds(instance, ledger)


async def terminate_connections(admin: psycopg.AsyncConnection[Any]) -> set[str]:
    """Every connection but this one; what they were for."""
    query = """select application_name, pg_terminate_backend(pid) from pg_stat_activity
                where backend_type = 'client backend' and pid <> pg_backend_pid()"""
    return {row[0] for row in await (await admin.execute(query)).fetchall()}


async def test_connections_that_are_terminated_again_and_again_are_made_again(
    ground: Ground, record_property: Callable[[str, object], None]
) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    terminated: set[str] = set()
    admin_connection = psycopg.AsyncConnection.connect(admin_url(ground.folder), autocommit=True)
    async with Load(rollbook.url, ledger) as load, await admin_connection as admin:
        for _ in range(20):
            await load.acknowledged(10)
            terminated |= await terminate_connections(admin)
        with healing("All connections were terminated", record_property):
            await load.acknowledged(CLIENTS + 1)
        await load.acknowledged(50)
    assert terminated >= {f"rollbook {name}" for name in ("writer", "reader", "projector", "listener")}
    assert not load.statuses[503]
    await everything_holds(rollbook, ledger)


async def test_a_wiped_nats_is_filled_again_while_the_api_goes_on(
    ground: Ground, record_property: Callable[[str, object], None]
) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    async with Load(rollbook.url, ledger) as load:
        await load.acknowledged(100)
        await ground.wipe_nats()
        with healing("NATS was stopped and wiped", record_property):
            await load.acknowledged(CLIENTS + 1)
        await rollbook.says(ready=True, degraded=True)
        await load.acknowledged(100)
        await ground.nats.start()
        with healing("NATS is back and empty", record_property):
            await rollbook.says(ready=True, degraded=False)
        await load.acknowledged(50)
    assert not load.statuses[503]
    await everything_holds(rollbook, ledger)


async def test_the_api_goes_on_while_nats_stands_still(ground: Ground) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    async with Load(rollbook.url, ledger) as load:
        await load.acknowledged(100)
        with ground.paused(ground.nats):
            await load.acknowledged(100)
            await rollbook.says(ready=True, degraded=True)
        await rollbook.says(ready=True, degraded=False)
        await load.acknowledged(50)
    assert not load.statuses[503]
    await everything_holds(rollbook, ledger)


async def test_every_request_ends_while_postgres_stands_still(ground: Ground) -> None:
    rollbook, ledger = await ground.start(), Ledger()
    async with Load(rollbook.url, ledger) as load:
        await load.acknowledged(100)
        with ground.paused(ground.postgres):
            await load.answered(503, more=CLIENTS)
            await rollbook.says(ready=False)
        await load.acknowledged(100)
        await rollbook.says(ready=True)
    await everything_holds(rollbook, ledger)


async def test_a_good_token_is_not_refused_while_postgres_is_away(ground: Ground) -> None:
    async with httpx2.AsyncClient(base_url=(await ground.start()).url, timeout=60) as open_door:
        secret = await issued(open_door)
    rollbook = await ground.start("serve", {"AUTH_ENABLED": "true"})
    async with httpx2.AsyncClient(base_url=rollbook.url, timeout=60) as http:
        good, bad = ({"authorization": f"Bearer {one}"} for one in (secret, secret[:-4] + "aaaa"))
        await until_allowed(http, good)
        assert (await http.get("/v1/deployments", headers=bad)).status_code == 401
        await ground.stop_postgres()
        answers = await asyncio.gather(*(http.get("/v1/deployments", headers=one) for one in [good] * 20))
        assert {answer.status_code for answer in answers} == {503}
        assert all(is_clear_refusal(answer) for answer in answers)
        await ground.postgres.start()
        await until_allowed(http, good)
        assert (await http.get("/v1/deployments", headers=bad)).status_code == 401


async def issued(http: httpx2.AsyncClient) -> str:
    """The secret of a new token; a busy machine may need more than one try."""
    for _ in range(300):
        answer = await http.post("/v1/tokens", json={"name": "runner", "role": "deployer"})
        assert answer.status_code in (201, 503), answer.text
        if answer.status_code == 201:
            return str(answer.json()["token"])
        await asyncio.sleep(0.1)
    raise AssertionError(answer.text)


async def until_allowed(http: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    """Never 401 meanwhile."""
    for _ in range(300):
        answer = await http.get("/v1/deployments", headers=headers)
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 200:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(answer.text)
