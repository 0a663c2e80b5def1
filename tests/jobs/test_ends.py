"""What a job is about follows from its end in the same commit; nothing that goes wrong there keeps it from ending."""

from typing import Any
from uuid import uuid4

import pytest

from adapters.postgres.conditions import equals
from application.execution import Work
from application.handlers import Attempt, Follow, Handler, Turn
from application.jobs import CancelJob, RetryJob, cancel_job, retry_job
from domain.errors import Clash, Invalid
from domain.job import Job
from domain.job_status import JobStatus
from projections.registry import JOBS
from tests.jobs.conftest import Jobs


async def done(attempt: Attempt) -> dict[str, Any]:
    """Does nothing."""
    return {"done": True}


async def broken(attempt: Attempt) -> dict[str, Any]:
    """Cannot be done."""
    raise Invalid("There is nothing to do")


async def asks_for_another(work: Work, job: Job) -> Follow:
    """Ending the job asks for another one, whose id is among its arguments; a failure says why it failed."""

    def follow(turn: Turn) -> None:
        work.add(
            Job.request(
                uuid4(),
                work.now,
                organisation=work.organisation,
                handler="AFTER",
                arguments={"status": turn.status, "why": turn.why},
                prefix="after",
                priority=5,
                due_at=None,
                timeout_seconds=1,
                max_retries=0,
                requested_by=work.actor,
            )
        )
        if job.arguments.get("refuses") in (turn.status, "everything"):
            raise Invalid("This cannot be")

    return follow


async def cannot_be_known(work: Work, job: Job) -> Follow:
    """What the job is about is broken."""
    raise KeyError("secret")


async def never_again(work: Work, job: Job) -> Follow:
    """What has ended stays so."""

    def follow(turn: Turn) -> None:
        if turn.status is JobStatus.QUEUED:
            raise Clash("It is over")

    return follow


async def after(jobs: Jobs) -> list[dict[str, Any]]:
    """The arguments of all jobs that followed."""
    rows = (await jobs.app.views.select("acme", JOBS, [equals("handler", "AFTER")])).rows
    return [row["arguments"] for row in rows]


def at_work(jobs: Jobs, *handlers: Handler) -> None:
    """Starts everything."""
    jobs.handle(*handlers)
    jobs.app.handlers |= jobs.handlers
    jobs.dispatch()
    jobs.work()


async def test_what_follows_is_recorded_with_the_end(jobs: Jobs) -> None:
    at_work(jobs, Handler("DONE", "done", "done", done, asks_for_another))
    await jobs.until(await jobs.ask("DONE"), "completed")
    assert await after(jobs) == [{"status": "completed", "why": None}]


async def test_what_was_done_and_cannot_be_recorded_has_failed(jobs: Jobs) -> None:
    at_work(jobs, Handler("DONE", "done", "done", done, asks_for_another))
    row = await jobs.until(await jobs.ask("DONE", arguments={"refuses": "completed"}), "failed")
    assert row["last_error"] == "It was done, and could not be recorded: This cannot be"
    assert await after(jobs) == [{"status": "failed", "why": row["last_error"]}]


async def test_a_job_ends_alone_when_nothing_may_follow_from_it(jobs: Jobs) -> None:
    at_work(jobs, Handler("BROKEN", "broken", "broken", broken, asks_for_another))
    row = await jobs.until(await jobs.ask("BROKEN", arguments={"refuses": "everything"}), "failed")
    assert row["last_error"] == "There is nothing to do"
    assert await after(jobs) == []


async def test_a_job_ends_though_nobody_knows_what_it_is_about(jobs: Jobs) -> None:
    at_work(jobs, Handler("DONE", "done", "done", done, cannot_be_known))
    row = await jobs.until(await jobs.ask("DONE"), "failed")
    assert row["last_error"] == "It was done, and could not be recorded: KeyError"


async def test_a_waiting_job_is_cancelled_though_nothing_may_follow_from_that(jobs: Jobs) -> None:
    job = await jobs.ask("DONE", arguments={"refuses": "everything"})
    await jobs.run(cancel_job, CancelJob(job, None, asks_for_another))
    assert (await jobs.row(job))["status"] == "cancelled"
    assert await after(jobs) == []


async def test_a_retry_may_be_refused_by_what_the_job_is_about(jobs: Jobs) -> None:
    at_work(jobs, Handler("BROKEN", "broken", "broken", broken, never_again))
    job = await jobs.ask("BROKEN")
    await jobs.until(job, "failed")
    with pytest.raises(Clash, match="It is over"):
        await jobs.run(retry_job, RetryJob(job, never_again))
    assert (await jobs.row(job))["status"] == "failed"


@pytest.mark.parametrize(
    ("result", "why"),
    [
        ({"long": "x" * 300_000}, "An event of this request would exceed"),
        ({"odd": object()}, "could not be recorded"),
        (["no object"], "Its handler answered no object"),
    ],
    ids=["too long", "no JSON", "no object"],
)
async def test_a_result_that_cannot_be_kept_fails_the_job(jobs: Jobs, result: Any, why: str) -> None:
    async def answers(attempt: Attempt) -> dict[str, Any]:
        answer: dict[str, Any] = result
        return answer

    at_work(jobs, Handler("ANSWERS", "answers", "answers", answers))
    row = await jobs.until(await jobs.ask("ANSWERS"), "failed")
    assert why in row["last_error"]


async def test_an_error_that_is_not_ours_is_told_by_its_kind_alone(jobs: Jobs) -> None:
    async def leaks(attempt: Attempt) -> dict[str, Any]:
        raise RuntimeError("postgresql://user:password@host")

    at_work(jobs, Handler("LEAKS", "leaks", "leaks", leaks))
    assert (await jobs.until(await jobs.ask("LEAKS"), "failed"))["last_error"] == "RuntimeError"
