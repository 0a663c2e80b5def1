"""Clients that do not give up: they repeat what was not answered, read what they wrote, and judge every answer."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from tests.faults.load import LIMIT, Command, Ledger

CLIENTS = 8


def is_clear_refusal(answer: httpx2.Response) -> bool:
    """A refusal in the interface's own shape that says when to come again, or that the disk is full."""
    told = answer.headers.get("retry-after", "").isdigit() if answer.status_code == 503 else True
    detail = answer.json().get("detail") if answer.headers.get("content-type") == "application/json" else None
    return answer.status_code in (503, 507) and told and isinstance(detail, str) and "x-error-code" in answer.headers


@dataclass
class Load:
    """A number of clients at one API, from entering to leaving; `wrong` must be empty at the end."""

    url: str
    ledger: Ledger
    clients: int = CLIENTS
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self.tasks = [asyncio.create_task(self.client(n)) for n in range(self.clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks), LIMIT)
        assert not self.wrong, self.wrong[:5]

    async def client(self, number: int) -> None:
        """Creates, marks deployed, reads both back."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=LIMIT) as http:
            while not self.stop.is_set():
                if made := await self.command(http, self.ledger.create(number)):
                    await self.finish(http, made["id"])

    async def finish(self, http: httpx2.AsyncClient, deployment_id: str) -> None:
        """An acknowledged write is what every later read shows."""
        if await self.command(http, self.ledger.deploy(deployment_id)):
            read = await self.ask(lambda: http.get(f"/v1/deployments/{deployment_id}"), 200)
            if read and read["status"] not in ("deployed", "rolled_back"):
                self.wrong.append(f"{deployment_id} is {read['status']}")

    async def command(self, http: httpx2.AsyncClient, command: Command) -> Any:
        """The answer, which is noted."""
        if answer := await self.ask(lambda: command.send(http), command.status):
            self.ledger.acknowledge(command, answer)
        return answer

    async def ask(self, send: Callable[[], Awaitable[httpx2.Response]], expect: int) -> Any:
        """Asks until it is answered, or the load ends; notes every answer that is neither as expected nor clear."""
        while not self.stop.is_set():
            try:
                answer = await send()
            except httpx2.HTTPError as problem:
                self.wrong.append(f"{problem.request.method} {problem.request.url}: {type(problem).__name__}")
                return None
            self.statuses[answer.status_code] += 1
            if answer.status_code == expect:
                return answer.json()
            if not is_clear_refusal(answer):
                self.wrong.append(f"{answer.url}: {answer.status_code} {answer.text[:300]} {dict(answer.headers)}")
            await asyncio.sleep(0.1)
        return None

    async def acknowledged(self, more: int) -> None:
        """Until so many more commands were acknowledged."""
        await self.ledger.wait_for(more)

    async def answered(self, status: int, more: int) -> None:
        """Until so many more answers had this status."""
        target = self.statuses[status] + more
        async with asyncio.timeout(LIMIT):
            while self.statuses[status] < target:
                await asyncio.sleep(0.02)
