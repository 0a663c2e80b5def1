"""What waits is offered, whatever was forgotten; whose worker is silent waits again."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import nats
import pytest
from nats.js.errors import NotFoundError

from adapters.nats.job_queue import NAME, JetStreamJobs
from adapters.postgres.job_runs import Due, RunningJob
from application.handlers import Attempt, Handler
from application.jobs import StartJob, start_job
from application.ports.job_queue import WaitingJob
from domain.errors import LeaseLost
from entrypoints.workers import dispatching
from entrypoints.workers.dispatching import Dispatcher
from entrypoints.workers.silence import LOOKS, Silence
from projections.registry import JOBS
from tests.jobs.conftest import Jobs

ID = UUID(int=1)


async def echo(attempt: Attempt) -> dict[str, Any]:
    """Says what it was asked."""
    return dict(attempt.arguments)


ECHO = Handler("ECHO", "echo", "echo", echo)


def running(beats: int, fence: int = 1) -> RunningJob:
    """A job that a worker has."""
    return RunningJob("acme", ID, fence, beats)


def test_a_worker_is_silent_when_many_looks_in_a_row_find_nothing_new() -> None:
    silence = Silence()
    assert [silence.notice([running(3)]) for _ in range(LOOKS)] == [[]] * LOOKS
    assert silence.notice([running(3)]) == [running(3)]


def test_each_sign_of_a_worker_and_each_new_one_starts_the_counting_over() -> None:
    silence = Silence(looks=2)
    for job in (running(1), running(1), running(2), running(2), running(2, fence=2), running(2, fence=2)):
        assert silence.notice([job]) == []


def test_a_job_that_ended_meanwhile_is_forgotten() -> None:
    silence = Silence(looks=1)
    assert silence.notice([running(1)]) == []
    assert silence.notice([]) == []
    assert silence.notice([running(1)]) == []


async def test_a_worker_that_was_given_up_cannot_revive_its_lease(jobs: Jobs) -> None:
    job = await jobs.ask()
    await jobs.run(start_job, StartJob(job, "one"))
    await jobs.until(job, "processing")
    assert not await jobs.app.runs.beat("acme", job, 1, {})
    (found,) = await jobs.app.runs.running()
    assert (found.job_id, found.fence, found.beats) == (job, 1, 1)
    assert not await jobs.app.runs.beat("acme", job, 1, {})
    assert not await jobs.app.runs.give_up(found), "it was heard of meanwhile"
    (found,) = await jobs.app.runs.running()
    assert await jobs.app.runs.give_up(found)
    with pytest.raises(LeaseLost):
        await jobs.app.runs.beat("acme", job, 1, {})


async def test_a_job_whose_worker_is_never_heard_of_is_given_to_another(jobs: Jobs) -> None:
    jobs.handle(ECHO)
    job = await jobs.ask()
    await jobs.run(start_job, StartJob(job, "one that died"))
    dispatcher = jobs.dispatch()
    dispatcher.silence = Silence(looks=1)
    jobs.work()
    assert (await jobs.until(job, "completed"))["attempt"] == 2


async def test_what_waits_is_offered_again_when_the_queue_was_deleted(jobs: Jobs) -> None:
    jobs.handle(ECHO)
    dispatcher = jobs.dispatch()
    waiting = [await jobs.ask() for _ in range(5)]
    await until_offered(dispatcher, waiting)
    await delete_queue(jobs)
    jobs.work()
    for job in waiting:
        await jobs.until(job, "completed")


async def test_what_waits_is_offered_again_when_the_queue_has_lost_some(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "COUNT_EVERY_ROUNDS", 1)
    jobs.handle(ECHO)
    await delete_queue(jobs)
    job = await jobs.ask()
    await jobs.row(job)
    dispatcher = Dispatcher(jobs.app, JetStreamJobs(jobs.nats_url), True)
    (row,) = (await jobs.app.runs.began_to_wait(datetime.now(UTC) + timedelta(days=1), 0, 10))[0]
    # As if it had been offered, and the queue had forgotten it within the time in which it takes no doubles.
    dispatcher.position, dispatcher.identity = 10**9, (await dispatcher.queue.state()).identity
    dispatcher.offered[row.job_id, row.version] = None
    jobs.tasks.append(asyncio.create_task(dispatcher.run(jobs.stop)))
    jobs.work()
    await jobs.until(job, "completed")


async def delete_queue(jobs: Jobs) -> None:
    """Deletes the stream, if there is one, behind everybody's back."""
    client = await nats.connect(jobs.nats_url)
    with suppress(NotFoundError):
        await client.jetstream().delete_stream(NAME)
    await client.close()


async def until_offered(dispatcher: Dispatcher, waiting: list[UUID]) -> None:
    """Until all of these were put into the queue."""
    async with asyncio.timeout(30):
        while {job_id for job_id, _ in dispatcher.offered} < set(waiting):
            await asyncio.sleep(0.05)


async def test_a_clock_that_is_set_back_keeps_no_job_from_its_time(jobs: Jobs) -> None:
    jobs.handle(ECHO)
    job = await jobs.ask(due_at=datetime.now(UTC) + timedelta(seconds=3))
    dispatcher = jobs.dispatch()
    # As if the clock had been an hour ahead until now, and all that waited had been looked through.
    dispatcher.due, dispatcher.position = Due(datetime.now(UTC) + timedelta(hours=1), UUID(int=0)), 10**9
    dispatcher.identity = (await dispatcher.queue.state()).identity
    jobs.work()
    await jobs.until(job, "completed")


async def test_a_sweep_finds_each_job_that_came_due_once(jobs: Jobs) -> None:
    now = datetime.now(UTC)
    for n in range(20):
        await jobs.ask(due_at=now + timedelta(seconds=n + 1))
    await jobs.app.views.visible("acme", JOBS)
    seen: list[WaitingJob] = []
    place = Due(now, UUID(int=0))
    while (found := await jobs.app.runs.came_due(now + timedelta(seconds=10.5), place, 3))[0]:
        seen += found[0]
        place = found[1]
    assert len(seen) == len({one.job_id for one in seen}) == 10
