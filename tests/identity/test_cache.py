"""What was learnt is kept for its time, and no more of it than there is room for."""

import asyncio

import pytest

from adapters.identity.cache import SharedCalls, TimedCache
from tests.identity.providers import Clock


def test_an_entry_ends_with_its_time() -> None:
    clock = Clock()
    cache: TimedCache[str, int] = TimedCache(10, clock)
    cache.put("a", 1, 30)
    clock.advance(29.9)
    assert cache.get("a") == 1
    clock.advance(0.1)
    assert cache.get("a") is None
    assert len(cache) == 0


def test_an_entry_does_not_live_longer_for_a_clock_that_was_set_back() -> None:
    clock = Clock()
    cache: TimedCache[str, int] = TimedCache(10, clock)
    cache.put("a", 1, 30)
    clock.advance(-1)
    assert cache.get("a") is None


def test_the_least_recently_read_entry_makes_room() -> None:
    cache: TimedCache[str, int] = TimedCache(2, Clock())
    cache.put("a", 1, 30)
    cache.put("b", 2, 30)
    cache.get("a")
    cache.put("c", 3, 30)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


async def test_a_call_that_failed_is_made_again() -> None:
    calls: SharedCalls[str, int] = SharedCalls()
    attempts = 0

    async def flaky() -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ValueError("the first time")
        return attempts

    with pytest.raises(ValueError, match="the first time"):
        await calls.once("a", flaky)
    assert await calls.once("a", flaky) == 2


async def test_closing_ends_what_is_in_flight() -> None:
    calls: SharedCalls[str, bool] = SharedCalls()
    waiting = asyncio.create_task(calls.once("a", asyncio.Event().wait))
    await asyncio.sleep(0)
    await calls.aclose()
    assert not calls.in_flight("a")
    with pytest.raises(asyncio.CancelledError):
        await waiting
