"""Jobs are done by workers: at once, at a time, again after what can be mended, never twice, never lost."""

import asyncio
from typing import Any

from application.handlers import Attempt, Handler
from application.jobs import CancelJob, RetryJob, cancel_job, retry_job
from domain.errors import Unavailable, Unprocessable
from tests.jobs.conftest import Jobs


async def echo(attempt: Attempt) -> dict[str, Any]:
    """Says what it was asked."""
    attempt.log("echoing")
    return dict(attempt.arguments)


ECHO = Handler("ECHO", "echo", "echo", echo)


async def test_a_job_is_done_and_its_result_kept(jobs: Jobs) -> None:
    jobs.handle(ECHO)
    jobs.dispatch()
    jobs.work()
    row = await jobs.until(await jobs.ask(arguments={"what": "this"}), "completed")
    assert (row["result"], row["attempt"]) == ({"what": "this"}, 1)


async def test_what_can_be_mended_is_tried_again(jobs: Jobs) -> None:
    tries: list[int] = []

    async def flaky(attempt: Attempt) -> dict[str, Any]:
        tries.append(attempt.fence)
        if len(tries) == 1:
            raise Unavailable("The target is away")
        return {}

    jobs.handle(Handler("FLAKY", "flaky", "flaky", flaky))
    jobs.dispatch()
    jobs.work()
    row = await jobs.until(await jobs.ask("FLAKY"), "completed")
    assert (tries, row["attempt"], row["last_error"]) == ([1, 2], 2, "The target is away")


async def test_what_cannot_be_mended_fails_at_once(jobs: Jobs) -> None:
    async def broken(attempt: Attempt) -> dict[str, Any]:
        raise Unprocessable([])

    jobs.handle(Handler("BROKEN", "broken", "broken", broken))
    jobs.dispatch()
    jobs.work()
    assert (await jobs.until(await jobs.ask("BROKEN"), "failed"))["attempt"] == 1


async def test_a_cancelled_job_stops_where_it_waits(jobs: Jobs) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def patient(attempt: Attempt) -> dict[str, Any]:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    jobs.handle(Handler("PATIENT", "patient", "patient", patient))
    jobs.dispatch()
    jobs.work()
    job = await jobs.ask("PATIENT")
    await asyncio.wait_for(began.wait(), 20)
    await jobs.run(cancel_job, CancelJob(job, "changed my mind"))
    await jobs.until(job, "cancelled")
    assert ended.is_set()


async def test_a_job_that_takes_too_long_ends_and_may_be_tried_again(jobs: Jobs) -> None:
    waits = iter([30.0, 0.0])

    async def slow(attempt: Attempt) -> dict[str, Any]:
        await asyncio.sleep(next(waits))
        return {}

    jobs.handle(Handler("SLOW", "slow", "slow", slow))
    jobs.dispatch()
    jobs.work()
    job = await jobs.ask("SLOW", timeout_seconds=1)
    await jobs.until(job, "timeout")
    await jobs.run(retry_job, RetryJob(job))
    await jobs.until(job, "completed")


async def test_what_a_stopped_worker_had_begun_another_finishes(jobs: Jobs) -> None:
    began = asyncio.Event()
    fences: list[int] = []

    async def once_slow(attempt: Attempt) -> dict[str, Any]:
        fences.append(attempt.fence)
        began.set()
        await asyncio.sleep(30 if attempt.fence == 1 else 0)
        return {}

    jobs.handle(Handler("ONCE_SLOW", "slow", "slow", once_slow))
    jobs.dispatch()
    first = jobs.work()
    job = await jobs.ask("ONCE_SLOW")
    await asyncio.wait_for(began.wait(), 20)
    jobs.tasks.remove(first)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    jobs.work()
    await jobs.until(job, "completed")
    assert fences == [1, 2]


async def test_urgent_jobs_overtake(jobs: Jobs) -> None:
    order: list[str] = []

    async def note(attempt: Attempt) -> dict[str, Any]:
        order.append(attempt.arguments["name"])
        return {}

    jobs.handle(Handler("NOTE", "note", "note", note))
    jobs.dispatch()
    waiting = [await jobs.ask("NOTE", arguments={"name": f"plain {n}"}) for n in range(30)]
    waiting.append(await jobs.ask("NOTE", priority=9, arguments={"name": "urgent"}))
    jobs.work(concurrency=1)
    for job in waiting:
        await jobs.until(job, "completed")
    assert order.index("urgent") <= 1
    assert len(order) == 31
