"""What was learnt of tokens, kept for a while: a bounded cache and calls that callers share."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

Clock = Callable[[], float]
"""The time as seconds since 1970, as `time.time` tells it."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TimedCache(Generic[K, V]):
    """At most `capacity` entries, each until its time ends; the least recently read goes first."""

    def __init__(self, capacity: int, clock: Clock) -> None:
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[K, tuple[float, float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        since, until, value = entry
        # A clock that was set back must not make an entry live longer.
        if not since <= self._clock() < until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, seconds: float) -> None:
        now = self._clock()
        self._entries[key] = (now, now + seconds, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)


class SharedCalls(Generic[K, V]):
    """Calls in flight by key: who asks for a key that is being asked for waits for the same answer.

    A caller that goes away does not cancel the call that others wait for.
    """

    def __init__(self) -> None:
        self._calls: dict[K, asyncio.Task[V]] = {}

    async def once(self, key: K, call: Callable[[], Awaitable[V]]) -> V:
        task = self._calls.get(key)
        if task is None:
            task = asyncio.create_task(_awaited(call))
            self._calls[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def in_flight(self, key: K) -> bool:
        return key in self._calls

    def _forget(self, key: K, done: asyncio.Task[V]) -> None:
        self._calls.pop(key, None)
        # Asked for here, because a task whose callers all went away would be reported as never looked at.
        if not done.cancelled():
            done.exception()

    async def aclose(self) -> None:
        """Cancel what is still in flight and wait for its end."""
        tasks: list[asyncio.Task[Any]] = list(self._calls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _awaited(call: Callable[[], Awaitable[V]]) -> V:
    return await call()
