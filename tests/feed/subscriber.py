"""Subscribers of the feed over HTTP, as tests need them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson

SECONDS = 30.0
DEPLOYMENT = {
    "name": "shop",
    "version": "1",
    "provider": "gcp",
    "cloud_account_id": "account",
    "region": "eu",
    "environment": "production",
    "type": "k8s",
}


@dataclass(frozen=True)
class Block:
    """One block of a stream of events: its fields, and its comments."""

    id: str = ""
    event: str = ""
    data: str = ""
    retry: str = ""
    comment: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """The event."""
        found: dict[str, Any] = orjson.loads(self.data)
        return found


def parsed(lines: list[str]) -> Block:
    """A block of its lines."""
    facts: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        facts[name or "comment"] = value.removeprefix(" ")
    return Block(**facts)


class Listening:
    """An open stream, read block by block."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self.lines = answer.aiter_lines()

    async def block(self) -> Block | None:
        """The next block; None at the end."""
        lines: list[str] = []
        async with asyncio.timeout(SECONDS):
            async for line in self.lines:
                if not line:
                    return parsed(lines)
                lines.append(line)
        return None

    async def next(self) -> Block:
        """The next event."""
        while (block := await self.block()) is not None:
            if block.event:
                return block
        raise AssertionError("the stream has ended")

    async def events(self, count: int) -> list[dict[str, Any]]:
        """So many events."""
        return [(await self.next()).told for _ in range(count)]

    async def rest(self) -> list[Block]:
        """All blocks up to the end."""
        found = []
        while (block := await self.block()) is not None:
            found.append(block)
        return found


@asynccontextmanager
async def listening(
    client: httpx2.AsyncClient, organisation: str, last: str | None = None, **wanted: Any
) -> AsyncIterator[Listening]:
    """A subscriber of an organisation, with the first block read."""
    headers = {"X-Organisation": organisation} | ({"Last-Event-ID": last} if last is not None else {})
    params = {name.rstrip("_"): value for name, value in wanted.items()}
    async with client.stream("GET", "/v1/events", params=params, headers=headers) as answer:
        assert answer.status_code == 200, (await answer.aread()).decode()
        made = Listening(answer)
        assert (await made.block()) is not None
        yield made


async def everything(client: httpx2.AsyncClient, organisation: str, **wanted: Any) -> list[dict[str, Any]]:
    """The organisation's events up to now, as far as they are wanted."""
    async with listening(client, organisation, from_="0", follow="false", **wanted) as made:
        return [block.told for block in await made.rest() if block.event]


async def deploy(client: httpx2.AsyncClient, organisation: str, **facts: Any) -> dict[str, Any]:
    """Queues a deployment."""
    answer = await client.post(
        "/v1/deployments", json={**DEPLOYMENT, **facts}, headers={"X-Organisation": organisation}
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def move(client: httpx2.AsyncClient, organisation: str, made: dict[str, Any], status: str) -> None:
    """Reports what became of a deployment."""
    path, headers = f"/v1/deployments/{made['id']}", {"X-Organisation": organisation}
    answer = await client.patch(path, json={"status": status}, headers=headers)
    assert answer.status_code == 200, answer.text
