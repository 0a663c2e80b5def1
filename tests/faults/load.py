"""Clients that create and update deployments, and remember what was acknowledged to them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

LANES = 5


def body(n: int, version: str) -> dict[str, str]:
    """A deployment for one of a few lanes."""
    return {
        "name": f"service-{n % LANES}",
        "version": version,
        "provider": "gcp",
        "cloud_account_id": "acc",
        "region": "r",
        "environment": "production",
        "type": "k8s",
    }


@dataclass
class Ledger:
    """What was acknowledged: id by Idempotency-Key; and what was sent without an answer."""

    created: dict[str, str] = field(default_factory=dict)
    deployed: set[str] = field(default_factory=set)
    unanswered: dict[str, dict[str, str]] = field(default_factory=dict)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    target: int = 0

    def note(self, key: str, deployment_id: str) -> None:
        """An acknowledged create."""
        self.created[key] = deployment_id
        self.unanswered.pop(key, None)
        if len(self.created) + len(self.deployed) >= self.target:
            self.enough.set()


async def client(url: str, number: int, ledger: Ledger, stop: asyncio.Event) -> None:
    """Creates, and marks every second one deployed, until told to stop or cut off."""
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        while not stop.is_set():
            key = uuid4().hex
            sent = ledger.unanswered[key] = body(number, key)
            try:
                answer = await http.post("/v1/deployments", json=sent, headers={"Idempotency-Key": key})
                if answer.status_code != 201:
                    return
                deployment_id = answer.json()["id"]
                ledger.note(key, deployment_id)
                if len(ledger.created) % 2:
                    path = f"/v1/deployments/{deployment_id}"
                    if (await http.patch(path, json={"status": "deployed"})).status_code == 200:
                        ledger.deployed.add(deployment_id)
            except httpx2.HTTPError:
                return


async def load_until(
    url: str, ledger: Ledger, acknowledged: int, clients: int = 8
) -> tuple[asyncio.Event, list[asyncio.Task[None]]]:
    """Starts clients; returns while they are still at it, after so many more acknowledgements."""
    ledger.target = len(ledger.created) + len(ledger.deployed) + acknowledged
    ledger.enough.clear()
    stop = asyncio.Event()
    tasks = [asyncio.create_task(client(url, n, ledger, stop)) for n in range(clients)]
    waiters: list[asyncio.Future[Any]] = [asyncio.create_task(ledger.enough.wait()), asyncio.gather(*tasks)]
    await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    waiters[0].cancel()
    return stop, tasks


async def end(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Waits for the clients, whose server may be gone."""
    stop.set()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
