"""Clients of one release behind a balancer: elsewhere while it refuses, or once it is gone until it is ready."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx2

from tests.upgrade.releases import Release


class Load:
    """Each status that the release answered is noted, and each command that was acknowledged by whichever release."""

    def __init__(self, release: Release, elsewhere: Release) -> None:
        self.release = release
        self.http, self.elsewhere = client_of(release), client_of(elsewhere)
        self.gone = False
        self.seen: list[tuple[str, int]] = []
        self.created: list[str] = []
        self.moved = 0
        self.stop = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, method: str, path: str, **facts: Any) -> httpx2.Response:
        """One request; a command has a key of its own, so that it may be repeated."""
        key = {"Idempotency-Key": uuid4().hex} if method != "GET" else {}
        if self.gone and not await self.is_back():
            return await self.ask_elsewhere(method, path, headers=key, **facts)
        try:
            answer = await self.http.request(method, path, headers=key, **facts)
        except httpx2.TransportError:
            self.gone = True
            return await self.ask_elsewhere(method, path, headers=key, **facts)
        self.seen.append((method, answer.status_code))
        if answer.status_code == 503:
            assert "retry-after" in answer.headers, answer.text
            return await self.ask_elsewhere(method, path, headers=key, **facts)
        return answer

    async def is_back(self) -> bool:
        """Whether /ready says yes again: until then a release may answer before its own read models are there."""
        with suppress(httpx2.TransportError):
            self.gone = (await self.release.ready())[0] != {200}
        return not self.gone

    async def ask_elsewhere(self, method: str, path: str, **facts: Any) -> httpx2.Response:
        """The same again; there it must succeed."""
        self.moved += 1
        answer = await self.elsewhere.request(method, path, **facts)
        assert answer.status_code in (200, 201), answer.text
        return answer

    async def create(self, lane: int) -> str:
        """A deployment."""
        body = {"name": f"shop-{lane}", "version": "1", "provider": "gcp", "environment": "production", "type": "k8s"}
        answer = await self.ask("POST", "/v1/deployments", json=body)
        assert answer.status_code == 201, answer.text
        deployment_id: str = answer.json()["id"]
        self.created.append(deployment_id)
        return deployment_id

    async def work(self, lane: int) -> None:
        """Creates, reports and lists until told to stop."""
        while not self.stop.is_set():
            made = await self.create(lane)
            await self.ask("PATCH", f"/v1/deployments/{made}", json={"status": "deployed"})
            assert (await self.ask("GET", f"/v1/deployments/{made}")).json()["status"] == "deployed"
            await self.ask("GET", "/v1/deployments", params={"limit": 5})
            await asyncio.sleep(0.01)

    def begin(self, clients: int = 2) -> None:
        """Starts the clients."""
        self.stop.clear()
        self.tasks += [asyncio.create_task(self.work(lane)) for lane in range(clients)]

    async def answered(self, count: int) -> None:
        """Until so many more answers came, from here or elsewhere."""
        goal = self.answers + count
        async with asyncio.timeout(60):
            while self.answers < goal:
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)

    @property
    def answers(self) -> int:
        """How many there were."""
        return len(self.seen) + self.moved

    async def end(self) -> None:
        """Waits for the clients; what went wrong in one is raised."""
        self.stop.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 60)
        self.tasks.clear()

    async def close(self) -> None:
        """Ends whatever still runs."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.http.aclose()
        await self.elsewhere.aclose()

    def statuses(self, since: int = 0) -> set[int]:
        """The kinds of answers since the n-th."""
        return {status for _, status in self.seen[since:]}

    def of_commands(self, since: int = 0) -> set[int]:
        """The kinds of answers to commands since the n-th."""
        return {status for method, status in self.seen[since:] if method != "GET"}


def client_of(release: Release) -> httpx2.AsyncClient:
    """Asks this release on behalf of one organisation."""
    return httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{release.api}", timeout=20, headers={"X-Organisation": "acme"}
    )
