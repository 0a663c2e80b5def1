"""What jobs leave for those who watch: metrics, and traces and consequences that go back to who asked for them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from adapters import tracing
from adapters.tracing import stop_tracing
from application.handlers import Attempt, Handler
from application.jobs import CancelJob, RetryJob, cancel_job, retry_job
from domain.errors import Unavailable
from domain.job import Job
from entrypoints.workers import dispatching
from entrypoints.workers.working import waited
from tests.conftest import Running
from tests.jobs.conftest import Jobs
from tests.jobs.test_working import ECHO
from tests.management.collector import Collector, facts
from tests.management.collector import collector as collector
from tests.management.scrape import scrape


async def counted(running: Running, name: str, **labels: str) -> float:
    """The only sample of a metric with these labels; 0 without one."""
    found = [s.value for s in await scrape(running) if s.name == name and labels.items() <= s.labels.items()]
    return sum(found)


def flaky() -> Handler:
    """A handler that does its work at the second try."""
    tries: list[int] = []

    async def work(attempt: Attempt) -> dict[str, Any]:
        tries.append(attempt.fence)
        if len(tries) == 1:
            raise Unavailable("The target is away")
        return {}

    return Handler("FLAKY", "flaky", "flaky", work)


async def test_what_waits_and_runs_is_measured_at_each_scrape(rollbook: Running, jobs: Jobs) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    async def patient(attempt: Attempt) -> dict[str, Any]:
        began.set()
        await may_end.wait()
        return {}

    jobs.handle(Handler("PATIENT", "patient", "patient", patient))
    asked = [await jobs.ask("PATIENT") for _ in range(3)]
    await jobs.row(asked[-1])
    names = ("rollbook_jobs_waiting", "rollbook_jobs_running")
    assert [await counted(rollbook, name) for name in names] == [3, 0]
    assert await counted(rollbook, "rollbook_job_age_seconds") > 0
    jobs.dispatch()
    jobs.work(concurrency=1)
    await asyncio.wait_for(began.wait(), 20)
    await jobs.row(asked[-1])
    assert [await counted(rollbook, name) for name in names] == [2, 1]
    may_end.set()
    for one in asked:
        await jobs.until(one, "completed")
    assert [await counted(rollbook, name) for name in (*names, "rollbook_job_age_seconds")] == [0, 0, 0]


async def test_each_try_is_counted_by_what_the_job_was_afterwards(rollbook: Running, jobs: Jobs) -> None:
    of = {"handler": "FLAKY"}
    jobs.handle(flaky())
    jobs.dispatch()
    stop = asyncio.Event()
    worker = jobs.work(stop=stop)
    await jobs.until(await jobs.ask("FLAKY"), "completed")
    stop.set()
    await asyncio.wait_for(worker, 20)
    for status in ("retry", "completed"):
        assert await counted(rollbook, "rollbook_job_tries_total", **of, status=status) == 1
    for name in ("rollbook_job_seconds_count", "rollbook_job_wait_seconds_count"):
        assert await counted(rollbook, name, **of) == 2


async def test_a_try_that_has_a_time_waits_from_then_on(jobs: Jobs) -> None:
    job = await jobs.app.executor.look("acme", Job, await jobs.ask("FLAKY"))
    assert job is not None
    asked = job.modified_on
    assert waited(job, asked + timedelta(seconds=3)) == 3
    job.due_at = (asked + timedelta(seconds=2)).isoformat()
    assert waited(job, asked + timedelta(seconds=3)) == 1


@pytest.mark.parametrize("asked_here", [True, False])
async def test_a_job_is_a_span_that_links_to_who_asked_for_it(
    jobs: Jobs, collector: Collector, asked_here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not asked_here:
        monkeypatch.setattr(dispatching.Dispatcher, "note", lambda *_: None)
    jobs.handle(ECHO)
    with tracing.span("asking"):
        job = await jobs.ask()
    jobs.dispatch()
    jobs.work()
    await jobs.until(job, "completed")
    jobs.stop.set()
    await asyncio.wait_for(asyncio.gather(*jobs.tasks), 20)
    stop_tracing()
    asking, doing = collector.one("asking"), collector.one("job ECHO")
    assert [(link.trace_id, link.span_id) for link in doing.links] == [(asking.trace_id, asking.span_id)]
    assert facts(doing)["rollbook.job_id"] == str(job)
    within = [span for span in collector.named("append") if span.trace_id == doing.trace_id]
    assert [span.parent_span_id for span in within] == [doing.span_id] * 2


async def test_whatever_a_job_does_is_recorded_as_a_consequence_of_what_was_asked(jobs: Jobs) -> None:
    jobs.handle(flaky())
    jobs.dispatch()
    jobs.work()
    job = await jobs.ask("FLAKY")
    await jobs.until(job, "completed")
    events = await jobs.app.store.history("acme", f"job-{job}")
    assert [event.topic for event in events][1:] == [
        "job.started",
        "job.retry_scheduled",
        "job.started",
        "job.completed",
    ]
    assert len({event.envelope["cause"]["correlation_id"] for event in events}) == 1


async def test_a_job_that_is_tried_again_is_a_consequence_of_that_wish(jobs: Jobs) -> None:
    job = await jobs.ask()
    await jobs.run(cancel_job, CancelJob(job))
    await jobs.run(retry_job, RetryJob(job))
    jobs.handle(ECHO)
    jobs.dispatch()
    jobs.work()
    await jobs.until(job, "completed")
    events = await jobs.app.store.history("acme", f"job-{job}")
    asked, _, again, *done = [event.envelope["cause"]["correlation_id"] for event in events]
    assert set(done) == {again} != {asked}
