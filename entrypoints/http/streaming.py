"""Sends an answer piece by piece, for as long as somebody takes it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from entrypoints.http.routing import Patience

HANG_UP = "rollbook.hang_up"
SHORTEST_LOOK = 0.05


async def send_chunks(send: Any, receive: Any, chunks: AsyncGenerator[bytes, None]) -> None:
    """Sends pieces until there are no more; who leaves ends the work on them at once."""
    try:
        async with until_done(hung_up(receive)):
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        await chunks.aclose()


async def send_stream(
    send: Any, receive: Any, chunks: AsyncGenerator[bytes, None], patience: Patience, hang_up: Callable[[bytes], None]
) -> None:
    """The same for what may never end: who takes nothing is hung up on after a time."""
    watch = Watch(patience, hang_up)
    try:
        async with until_done(hung_up(receive)):
            async for chunk in chunks:
                with watch:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        watch.timer.cancel()
        await chunks.aclose()


class Watch:
    """Hangs up, with a last word, when one piece takes too long. One clock for all pieces: most take no time at all."""

    def __init__(self, patience: Patience, hang_up: Callable[[bytes], None]) -> None:
        self.patience = patience
        self.hang_up = hang_up
        self.since: float | None = None
        self.loop = asyncio.get_running_loop()
        self.timer = self.loop.call_later(patience.seconds, self.look)

    def look(self) -> None:
        """Looks again, when what is under way would have taken long enough; if it has, that is the end."""
        waited = 0.0 if self.since is None else self.loop.time() - self.since
        if waited >= self.patience.seconds:
            self.hang_up(self.patience.last_word())
        else:
            self.timer = self.loop.call_later(max(self.patience.seconds - waited, SHORTEST_LOOK), self.look)

    def __enter__(self) -> None:
        self.since = self.loop.time()

    def __exit__(self, *_: object) -> None:
        self.since = None


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
