"""Clients that create and update deployments, and remember what was acknowledged to them."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

LANES = 5
LIMIT = 60


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


@dataclass(slots=True)
class Command:
    """What was sent under an Idempotency-Key, and what was answered to it, if anything was."""

    key: str
    method: str
    path: str
    body: dict[str, str]
    answer: dict[str, Any] | None = None

    @property
    def status(self) -> int:
        """With which it is acknowledged."""
        return 201 if self.method == "POST" else 200

    async def send(self, http: httpx2.AsyncClient) -> httpx2.Response:
        """Sends it, for the first time or again."""
        return await http.request(self.method, self.path, json=self.body, headers={"Idempotency-Key": self.key})


@dataclass
class Ledger:
    """Every command that was sent."""

    commands: list[Command] = field(default_factory=list)
    count: int = 0
    target: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    def create(self, number: int) -> Command:
        """A new deployment, not sent yet; its version is its Idempotency-Key."""
        key = uuid4().hex
        return self.add(Command(key, "POST", "/v1/deployments", body(number, key)))

    def deploy(self, deployment_id: str) -> Command:
        """A deployment that is done, not sent yet."""
        return self.add(Command(uuid4().hex, "PATCH", f"/v1/deployments/{deployment_id}", {"status": "deployed"}))

    def add(self, command: Command) -> Command:
        """Notes it before it is sent."""
        self.commands.append(command)
        return command

    def acknowledge(self, command: Command, answer: dict[str, Any]) -> None:
        """Notes what was answered first."""
        command.answer = answer
        self.count += 1
        if self.count >= self.target:
            self.enough.set()

    async def wait_for(self, more: int) -> None:
        """Until so many more commands were acknowledged; TimeoutError after a minute."""
        self.target = self.count + more
        self.enough.clear()
        await asyncio.wait_for(self.enough.wait(), LIMIT)

    def answers(self, method: str) -> Iterator[dict[str, Any]]:
        """What was acknowledged."""
        return (one.answer for one in self.commands if one.method == method and one.answer is not None)


async def client(url: str, number: int, ledger: Ledger, stop: asyncio.Event) -> None:
    """Creates, and marks every second one deployed, until told to stop or cut off."""
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        with suppress(httpx2.HTTPError):
            while not stop.is_set() and (made := await acknowledged(http, ledger, ledger.create(number))):
                if ledger.count % 2 and not await acknowledged(http, ledger, ledger.deploy(made["id"])):
                    return


async def acknowledged(http: httpx2.AsyncClient, ledger: Ledger, command: Command) -> dict[str, Any] | None:
    """What was answered; None when it was refused, as whoever is about to die may do."""
    answer = await command.send(http)
    if answer.status_code != command.status:
        return None
    ledger.acknowledge(command, said := answer.json())
    return dict(said)


Clients = tuple[asyncio.Event, "asyncio.Future[list[Any]]"]


def begin(url: str, ledger: Ledger, clients: int = 8) -> Clients:
    """Starts clients."""
    stop = asyncio.Event()
    return stop, asyncio.gather(*(client(url, n, ledger, stop) for n in range(clients)), return_exceptions=True)


async def load_until(url: str, ledger: Ledger, more: int) -> Clients:
    """Starts clients; returns while they are still at it, after so many more acknowledgements."""
    begun = begin(url, ledger)
    await ledger.wait_for(more)
    return begun


async def end(begun: Clients) -> None:
    """Waits for the clients, whose server may be gone."""
    stop, clients = begun
    stop.set()
    await asyncio.wait_for(clients, LIMIT)
