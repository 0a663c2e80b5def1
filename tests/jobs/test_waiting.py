"""A job that only waits for another one keeps no hand of its worker from that one."""

import asyncio
from typing import Any

from application.handlers import Attempt, Handler
from entrypoints.workers import working
from tests.jobs.conftest import Jobs


async def test_the_job_that_another_one_waits_for_is_done_by_the_same_hand(jobs: Jobs) -> None:
    done = asyncio.Event()

    async def wait(attempt: Attempt) -> dict[str, Any]:
        attempt.progress(waits="for the other one")
        await done.wait()
        attempt.progress(waits=None)
        return {"tries": attempt.fence}

    async def do(attempt: Attempt) -> dict[str, Any]:
        done.set()
        return {}

    jobs.handle(Handler("WAIT", "wait", "wait", wait), Handler("DO", "do", "do", do))
    jobs.dispatch()
    jobs.work(concurrency=1)
    waiting = await jobs.ask("WAIT", priority=9)
    await jobs.until(waiting, "processing")
    await jobs.until(await jobs.ask("DO"), "completed")
    assert (await jobs.until(waiting, "completed"))["result"] == {"tries": 1}


async def test_no_more_than_so_many_wait_beside_those_at_work(jobs: Jobs, monkeypatch: Any) -> None:
    monkeypatch.setattr(working, "MOST_WAITING", 1)
    go_on, began = asyncio.Event(), asyncio.Semaphore(0)

    async def wait(attempt: Attempt) -> dict[str, Any]:
        attempt.progress(waits="for the test")
        began.release()
        await go_on.wait()
        return {}

    jobs.handle(Handler("WAIT", "wait", "wait", wait))
    jobs.dispatch()
    jobs.work(concurrency=1)
    asked = [await jobs.ask("WAIT") for _ in range(3)]
    for _ in range(2):
        await asyncio.wait_for(began.acquire(), 20)
    assert sorted([(await jobs.row(one))["status"] for one in asked]) == ["processing", "processing", "queued"]
    go_on.set()
    for one in asked:
        await jobs.until(one, "completed")
