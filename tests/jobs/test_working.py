"""Jobs are done by workers: at once, at a time, again after what can be mended, never twice, never lost."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from application.execution import Executor
from application.handlers import Attempt, Handler
from application.jobs import CancelJob, RetryJob, cancel_job, retry_job
from domain.errors import Unavailable, Unprocessable
from entrypoints.workers import attempt as attempt_module
from entrypoints.workers import working
from entrypoints.workers.acting import circumstances
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


async def test_what_a_stopped_worker_had_begun_waits_again_at_once_and_no_try_is_burnt(jobs: Jobs) -> None:
    began, stop = asyncio.Event(), asyncio.Event()
    fences: list[int] = []

    async def once_slow(attempt: Attempt) -> dict[str, Any]:
        fences.append(attempt.fence)
        began.set()
        await asyncio.sleep(30 if attempt.fence == 1 else 0)
        return {}

    jobs.handle(Handler("ONCE_SLOW", "slow", "slow", once_slow))
    jobs.dispatch()
    first = jobs.work(stop=stop)
    job = await jobs.ask("ONCE_SLOW", max_retries=0)
    await asyncio.wait_for(began.wait(), 20)
    stop.set()
    await asyncio.wait_for(first, 20)
    assert (await jobs.row(job))["status"] == "queued"
    jobs.work()
    row = await jobs.until(job, "completed")
    assert (fences, row["attempt"]) == ([1, 2], 1)


async def test_a_cancellation_that_meets_a_stopping_worker_is_kept(jobs: Jobs) -> None:
    began, stop = asyncio.Event(), asyncio.Event()

    async def patient(attempt: Attempt) -> dict[str, Any]:
        began.set()
        await asyncio.Event().wait()
        return {}

    jobs.handle(Handler("PATIENT", "patient", "patient", patient))
    jobs.dispatch()
    jobs.work(stop=stop)
    job = await jobs.ask("PATIENT")
    await asyncio.wait_for(began.wait(), 20)
    await jobs.run(cancel_job, CancelJob(job))
    stop.set()
    await jobs.until(job, "cancelled")


async def test_a_job_waits_for_a_worker_that_knows_its_handler(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "UNKNOWN_SECONDS", 0.2)
    jobs.dispatch()
    jobs.work()
    unknown = await jobs.ask("NEW")
    jobs.handle(ECHO)
    jobs.work()
    await jobs.until(await jobs.ask("ECHO"), "completed")
    assert (await jobs.row(unknown))["status"] == "queued"
    jobs.handle(Handler("NEW", "new", "new", echo))
    jobs.work()
    await jobs.until(unknown, "completed")


async def test_a_handler_that_does_not_stop_is_given_up(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "STOP_SECONDS", 0.5)
    free = asyncio.Event()

    async def stubborn(attempt: Attempt) -> dict[str, Any]:
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()
        return {}

    jobs.handle(Handler("STUBBORN", "stubborn", "stubborn", stubborn), ECHO)
    jobs.dispatch()
    jobs.work(concurrency=1)
    job = await jobs.ask("STUBBORN", timeout_seconds=1)
    after = await jobs.ask("ECHO")
    await jobs.until(job, "timeout")
    await jobs.until(after, "completed")
    free.set()


async def test_a_handler_that_is_cancelled_by_nobody_has_failed(jobs: Jobs) -> None:
    async def confused(attempt: Attempt) -> dict[str, Any]:
        raise asyncio.CancelledError

    jobs.handle(Handler("CONFUSED", "confused", "confused", confused))
    jobs.dispatch()
    jobs.work()
    assert (await jobs.until(await jobs.ask("CONFUSED"), "failed"))["last_error"] == "CancelledError"


async def test_a_worker_takes_a_job_that_others_changed_since_it_last_saw_it(jobs: Jobs) -> None:
    failing = True

    async def moody(attempt: Attempt) -> dict[str, Any]:
        if failing:
            raise Unprocessable([])
        return {}

    jobs.handle(Handler("MOODY", "moody", "moody", moody))
    jobs.dispatch()
    jobs.work()
    job = await jobs.ask("MOODY")
    row = await jobs.until(job, "failed")
    failing = False
    elsewhere = Executor(jobs.app.store, jobs.app.executor.clock)
    await elsewhere.execute("acme", await circumstances(jobs.app, "acme", "test"), retry_job, RetryJob(job))
    assert (await jobs.until(job, "completed"))["version_number"] > row["version_number"]


async def test_a_retry_of_what_waits_for_its_next_try_comes_at_once(jobs: Jobs) -> None:
    async def flaky(attempt: Attempt) -> dict[str, Any]:
        if attempt.fence == 1:
            raise Unavailable("The target is away")
        return {}

    jobs.handle(Handler("FLAKY", "flaky", "flaky", flaky))
    jobs.dispatch()
    jobs.work()
    job = await jobs.ask("FLAKY")
    await jobs.until(job, "retry")
    await jobs.run(retry_job, RetryJob(job))
    assert (await jobs.until(job, "completed"))["attempt"] == 1


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
