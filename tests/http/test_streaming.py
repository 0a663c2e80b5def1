"""What is sent piece by piece ends with whoever wanted it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from entrypoints.http.streaming import send_chunks

LIMIT = 5


@pytest.mark.asyncio
async def test_who_leaves_ends_the_work_on_what_they_asked_for() -> None:
    ended, sent = asyncio.Event(), list[Any]()

    async def work() -> AsyncGenerator[bytes, None]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def receive() -> Any:
        await asyncio.sleep(0)
        return {"type": "http.disconnect" if sent else "http.request"}

    async def send(message: Any) -> None:
        sent.append(message["body"])

    async with asyncio.timeout(LIMIT):
        await send_chunks(send, receive, work())
    assert (sent, ended.is_set()) == ([b"first"], True)


@pytest.mark.asyncio
async def test_who_stays_gets_all_of_it() -> None:
    sent: list[Any] = []

    async def work() -> AsyncGenerator[bytes, None]:
        for piece in (b"a", b"b"):
            await asyncio.sleep(0)
            yield piece

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message["body"])

    await send_chunks(send, receive, work())
    assert sent == [b"a", b"b"]
