"""What a job is about follows from how the job turns out, in one commit; nothing keeps a job from ending."""

from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

import structlog

from application.execution import StaleDecision, Work
from application.handlers import Concern, Follow, Turn
from domain.errors import NotFound, RollbookError, StorageFull, Unavailable
from domain.job import Job
from domain.job_status import ENDED, JobStatus

log = structlog.get_logger()
Decide = Callable[[Job], None]
# What passes by itself: whoever ends the job tries again.
AWAY = (Unavailable, StorageFull, StaleDecision)


class Ending(Protocol):
    """A command that may end a job."""

    @property
    def job_id(self) -> UUID: ...
    @property
    def concern(self) -> Concern | None: ...


async def load_job(work: Work, job_id: UUID) -> Job:
    """The job, or NotFound."""
    if (job := await work.load(Job, job_id)) is None:
        raise NotFound("Job not found")
    return job


async def begin_again(work: Work, command: Ending, decide: Decide) -> str:
    """Lets a job try again. What it is about may refuse that, where the job had ended."""
    job = await load_job(work, command.job_id)
    had_ended = job.status in ENDED
    follow = await command.concern(work, job) if command.concern else None
    work.rest_on_all()
    decide(job)
    if follow and had_ended:
        follow(Turn(JobStatus.QUEUED))
    return str(job.id)


async def end(
    work: Work, command: Ending, turn: Turn, decide: Decide, instead: Callable[[str], Awaitable[str]] | None = None
) -> str:
    """Lets the job decide, and what it is about follow when the job has ended; which ends whatever that raises.

    `instead` is what becomes of the job then, told why; without it the job ends as it would have, alone.
    """
    job = await load_job(work, command.job_id)
    problem, follow = await concern(work, command, job)
    work.rest_on_all()
    decide(job)
    if job.status in ENDED:
        problem = problem or followed(follow, taken(job, turn))
    if problem is None or job.status not in ENDED:
        return str(job.id)
    if work.from_cache:
        raise StaleDecision from problem
    log.error("job.unfollowed", job_id=str(job.id), handler=job.handler, problem=in_words(problem), exc_info=problem)
    return await end_alone(work, job, decide, problem, instead)


def taken(job: Job, turn: Turn) -> Turn:
    """The turn that the job took: another than was meant when somebody wanted it cancelled."""
    is_meant = job.status == turn.status and (turn.why or job.status is not JobStatus.CANCELLED)
    return turn if is_meant else Turn(job.status, why=job.cancel_reason)


async def concern(work: Work, command: Ending, job: Job) -> tuple[Exception | None, Follow | None]:
    """What follows from the end of this job, or what keeps us from knowing."""
    try:
        return None, await command.concern(work, job) if command.concern else None
    except AWAY:
        raise
    except Exception as problem:
        return problem, None


def followed(follow: Follow | None, turn: Turn) -> Exception | None:
    """What went wrong with what follows, if anything."""
    try:
        if follow:
            follow(turn)
    except Exception as problem:
        return problem
    return None


async def end_alone(
    work: Work, job: Job, decide: Decide, problem: Exception, instead: Callable[[str], Awaitable[str]] | None
) -> str:
    """Takes back whatever was decided; the job ends by itself, and its events say why."""
    for stream_id in list(work.touched):
        del work.touched[stream_id]
        work.cache.drop(work.organisation, stream_id)
    for held in (work.guards, work.taken, work.released, work.decisions):
        held.clear()
    if instead:
        return await instead(f"It was done, and could not be recorded: {in_words(problem)}")
    job = await load_job(work, job.id)
    decide(job)
    work.explain(job, "ended-alone", problem=in_words(problem))
    return str(job.id)


def in_words(problem: Exception) -> str:
    """Why; of errors that are not ours only the kind, as they might quote a secret."""
    return problem.message if isinstance(problem, RollbookError) else type(problem).__name__
