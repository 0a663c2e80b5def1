"""Sends an answer piece by piece, for as long as somebody takes it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from entrypoints.http.routing import Patience

HANG_UP = "rollbook.hang_up"


async def send_chunks(send: Any, receive: Any, chunks: AsyncGenerator[bytes, None]) -> None:
    """Sends pieces until there are no more, or nobody takes them."""
    leaving = asyncio.create_task(hung_up(receive))
    try:
        async for chunk in chunks:
            if leaving.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        leaving.cancel()
        await chunks.aclose()


async def send_stream(
    send: Any, receive: Any, chunks: AsyncGenerator[bytes, None], patience: Patience, hang_up: Callable[[bytes], None]
) -> None:
    """The same for what may never end: who leaves is noticed at once, who takes nothing is hung up on after a time."""
    try:
        async with until_done(hung_up(receive)):
            async for chunk in chunks:
                with in_time(patience, hang_up):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        await chunks.aclose()


@contextmanager
def in_time(patience: Patience, hang_up: Callable[[bytes], None]) -> Iterator[None]:
    """Hangs up, with a last word, when what is done within takes too long."""
    loop = asyncio.get_running_loop()
    timer = loop.call_later(patience.seconds, lambda: hang_up(patience.last_word()))
    try:
        yield
    finally:
        timer.cancel()


@asynccontextmanager
async def until_done(other: Any) -> AsyncIterator[None]:
    """Ends what is done within, quietly, as soon as the other ends; and the other with it."""
    task, ends = asyncio.current_task(), asyncio.ensure_future(other)
    assert task is not None
    ends.add_done_callback(cancel := lambda _: task.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if not ends.done() or task.uncancel() > 0:
            raise
    finally:
        ends.remove_done_callback(cancel)
        ends.cancel()


async def hung_up(receive: Any) -> None:
    """Returns when nobody listens any more."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass
