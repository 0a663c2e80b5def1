"""Records how a try at a job ended, for as long as it takes, and keeps the log of a job that has ended."""

import asyncio
from random import random
from time import monotonic
from typing import Any

import psycopg
import structlog

from adapters.failpoints import failpoint
from adapters.nats.job_queue import TROUBLES
from application.execution import Handler as CommandHandler
from application.handlers import Handler, mendable
from application.jobs import (
    CompleteJob,
    EndJob,
    FailJob,
    complete_job,
    confirm_cancel,
    fail_job,
    release_job,
    time_out_job,
)
from domain.errors import Clash, LeaseLost, NotFound, RollbookError, StorageFull, Unavailable
from domain.job import Job
from domain.job_status import ENDED
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import circumstances
from entrypoints.workers.attempt import RunningAttempt

log = structlog.get_logger()
PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 300.0
STOPS = {"cancelled": confirm_cancel, "stopped": release_job}
Said = tuple[CommandHandler, Any]


class TimedOut(Exception):
    """The job took longer than it may."""


class Outcomes:
    """While nothing can be recorded nobody can take the job over either, so it is worth waiting."""

    def __init__(self, rollbook: Rollbook) -> None:
        self.rollbook = rollbook

    async def record(self, attempt: RunningAttempt, working: asyncio.Task[Any], handler: Handler) -> None:
        """Says how the handler ended; of one that does not stop, what it was told."""
        outcome = outcome_of(attempt, working)
        if attempt.ended_by == "lost" and not isinstance(outcome, dict):
            log.warning("job.lost", job_id=str(attempt.job_id), fence=attempt.fence)
            return
        said = ending(attempt, outcome, handler)
        failpoint("before_job_end")
        try:
            await self.insist(attempt, said)
            failpoint("after_job_end")
        except (LeaseLost, Clash, NotFound) as refusal:
            log.warning("job.stands", job_id=str(attempt.job_id), code=refusal.code)
            return
        except (RollbookError, psycopg.Error, TypeError, ValueError) as problem:
            log.error("job.outcome_refused", job_id=str(attempt.job_id), problem=type(problem).__name__)
            why = f"How it ended could not be recorded: {in_words(problem)}"
            await self.insist(attempt, failing(attempt, why, False, handler))
        log.info("job.attempt_ended", job_id=str(attempt.job_id), handler=handler.name, how=said[0].__name__)
        await self.see_off(attempt)

    async def insist(self, attempt: RunningAttempt, said: Said) -> None:
        """Appends it, again and again while the store is away."""
        until = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                around = await circumstances(self.rollbook, attempt.organisation, "worker")
                await self.rollbook.executor.execute(attempt.organisation, around, *said)
                return
            except (Unavailable, StorageFull) as problem:
                if monotonic() > until:
                    raise
                log.warning("job.outcome_waits", job_id=str(attempt.job_id), problem=problem.code)
            await asyncio.sleep(PAUSE_SECONDS)

    async def see_off(self, attempt: RunningAttempt) -> None:
        """Tells whoever listens how it ended, and makes the log of a job that has ended a blob, if it can."""
        if not (attempt.facts or attempt.written):
            return
        job = await self.rollbook.executor.look(attempt.organisation, Job, attempt.job_id)
        if job is None:
            return
        try:
            told = {"status": job.status, "attempt": attempt.number, "progress": attempt.progress_now()}
            await attempt.offer.tell(told)
            if attempt.written and job.status in ENDED:
                await self.rollbook.logs.keep(attempt.organisation, attempt.job_id)
        except (*TROUBLES, RollbookError, psycopg.Error) as problem:
            log.warning("job.log_waits", job_id=str(attempt.job_id), problem=type(problem).__name__)


def outcome_of(attempt: RunningAttempt, working: asyncio.Task[Any]) -> Any:
    """What the handler answered or raised; as if it had been stopped, where it does not stop."""
    if not working.done():
        log.error("job.handler_hangs", job_id=str(attempt.job_id), handler=attempt.job.handler)
        return asyncio.CancelledError() if attempt.ended_by else TimedOut()
    if working.cancelled():
        return asyncio.CancelledError()
    problem = working.exception()
    return working.result() if problem is None else problem


def ending(attempt: RunningAttempt, outcome: Any, handler: Handler) -> Said:
    """The command that records this outcome."""
    of = (attempt.job_id, attempt.fence)
    if isinstance(outcome, dict):
        return complete_job, CompleteJob(*of, outcome, concern=handler.concern)
    if stopped := STOPS.get(attempt.ended_by or ""):
        return stopped, EndJob(*of, concern=handler.concern)
    if isinstance(outcome, TimedOut):
        return time_out_job, EndJob(*of, concern=handler.concern)
    if isinstance(outcome, BaseException):
        return failing(attempt, in_words(outcome), mendable(outcome), handler)
    return failing(attempt, "Its handler answered no object", False, handler)


def failing(attempt: RunningAttempt, why: str, again: bool, handler: Handler) -> Said:
    """The command that records a failure."""
    return fail_job, FailJob(attempt.job_id, attempt.fence, why[:4000], again, random(), concern=handler.concern)


def in_words(problem: BaseException) -> str:
    """Why it failed; of errors that are not ours only the kind, as they might quote a secret."""
    return problem.message if isinstance(problem, RollbookError) else type(problem).__name__
