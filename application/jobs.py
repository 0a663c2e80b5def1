"""Asking for work, doing it, and ending it: the commands of jobs."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from application.execution import Work
from application.handlers import Concern, Turn
from application.job_ends import begin_again, end, load_job
from domain.job import Job
from domain.job_status import JobStatus

DEFAULT_PRIORITY = 5
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class RequestJob:
    """Have a handler do something. `due_at` in the past, or None, is now; `prefix` begins the id as users see it."""

    handler: str
    arguments: dict[str, Any]
    prefix: str
    timeout_seconds: int
    max_retries: int
    priority: int = DEFAULT_PRIORITY
    due_at: datetime | None = None
    job_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class StartJob:
    """A worker takes a job."""

    job_id: UUID
    worker: str


@dataclass(frozen=True, slots=True)
class ReachMilestone:
    """A handler says how far it has come."""

    job_id: UUID
    fence: int
    name: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CompleteJob:
    """A handler has done its work."""

    job_id: UUID
    fence: int
    result: dict[str, Any]
    concern: Concern | None = None


@dataclass(frozen=True, slots=True)
class FailJob:
    """A handler could not do its work. `jitter` is a random number from 0 to 1; only what a retry can mend is tried
    again."""

    job_id: UUID
    fence: int
    error: str
    mendable: bool
    jitter: float
    concern: Concern | None = None


@dataclass(frozen=True, slots=True)
class EndJob:
    """A worker gave a job up: its time was over, it was asked to stop, or the worker is lost."""

    job_id: UUID
    fence: int
    concern: Concern | None = None


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Stop a job, or never begin it."""

    job_id: UUID
    reason: str | None = None
    concern: Concern | None = None


@dataclass(frozen=True, slots=True)
class RetryJob:
    """Try a job again that did not succeed."""

    job_id: UUID
    concern: Concern | None = None


CANCELLED = Turn(JobStatus.CANCELLED)


async def request_job(work: Work, command: RequestJob) -> str:
    """Answers the job's id."""
    due_at = command.due_at if command.due_at and command.due_at > work.now else None
    job = Job.request(
        command.job_id,
        work.now,
        organisation=work.organisation,
        handler=command.handler,
        arguments=command.arguments,
        prefix=command.prefix,
        priority=command.priority,
        due_at=due_at.isoformat() if due_at else None,
        timeout_seconds=command.timeout_seconds,
        max_retries=command.max_retries,
        requested_by=work.actor,
    )
    work.add(job)
    return str(job.id)


async def start_job(work: Work, command: StartJob) -> str:
    """Answers the job's id; Clash when somebody else has it."""
    job = await load_job(work, command.job_id)
    job.start(command.worker, work.now)
    return str(job.id)


async def reach_milestone(work: Work, command: ReachMilestone) -> str:
    """Answers the job's id."""
    job = await load_job(work, command.job_id)
    job.reach(command.fence, command.name, command.facts, work.now)
    return str(job.id)


async def complete_job(work: Work, command: CompleteJob) -> str:
    """Answers the job's id; LeaseLost for a worker that was given up meanwhile. What cannot be recorded fails."""
    turn = Turn(JobStatus.COMPLETED, result=command.result)

    async def fail(why: str) -> str:
        return await fail_job(work, FailJob(command.job_id, command.fence, why, False, 0, command.concern))

    decide = partial(Job.complete, fence=command.fence, result=command.result, at=work.now)
    return await end(work, command, turn, decide, instead=fail)


async def fail_job(work: Work, command: FailJob) -> str:
    """Answers the job's id."""

    def fail(job: Job) -> None:
        again_at = work.now + pause(job.attempt, command.jitter) if command.mendable else None
        job.fail(command.fence, command.error, again_at, work.now)

    return await end(work, command, Turn(JobStatus.FAILED, why=command.error), fail)


def pause(attempt: int, jitter: float) -> timedelta:
    """How long to wait before the next try: twice as long each time, and up to half of that less by chance."""
    longest = min(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), LONGEST_PAUSE_SECONDS)
    return timedelta(seconds=longest * (1 - jitter / 2))


async def time_out_job(work: Work, command: EndJob) -> str:
    """Answers the job's id."""
    turn = Turn(JobStatus.TIMEOUT, why="It took longer than it may")
    return await end(work, command, turn, lambda job: job.time_out(command.fence, work.now))


async def confirm_cancel(work: Work, command: EndJob) -> str:
    """Answers the job's id."""
    return await end(work, command, CANCELLED, lambda job: job.confirm_cancel(command.fence, work.now))


async def lose_worker(work: Work, command: EndJob) -> str:
    """Answers the job's id."""
    turn = Turn(JobStatus.FAILED, why="The worker was lost, and no try is left")
    return await end(work, command, turn, lambda job: job.lose_worker(command.fence, work.now))


async def release_job(work: Work, command: EndJob) -> str:
    """Answers the job's id."""
    return await end(work, command, CANCELLED, lambda job: job.release(command.fence, work.now))


async def cancel_job(work: Work, command: CancelJob) -> str:
    """Answers the job's id."""
    turn = Turn(JobStatus.CANCELLED, why=command.reason)
    return await end(work, command, turn, lambda job: job.cancel(command.reason, work.now))


async def retry_job(work: Work, command: RetryJob) -> str:
    """Answers the job's id; Clash where what the job is about cannot be tried again."""
    return await begin_again(work, command, lambda job: job.retry(work.now))
