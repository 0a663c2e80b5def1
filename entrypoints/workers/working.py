"""Takes jobs off their queue and has their handlers do them, so many at a time."""

import asyncio
import os
import socket
from collections.abc import Mapping
from random import random
from typing import Any

import structlog

from adapters.nats.job_queue import TROUBLES, JetStreamJobs, JetStreamOffer
from application.execution import Handler as CommandHandler
from application.handlers import Concern, Handler, mendable
from application.jobs import (
    CompleteJob,
    EndJob,
    FailJob,
    StartJob,
    complete_job,
    confirm_cancel,
    fail_job,
    lose_worker,
    start_job,
    time_out_job,
)
from domain.errors import Clash, NotFound, RollbookError
from domain.job import Job
from domain.job_status import WAITING
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import circumstances
from entrypoints.workers.attempt import RunningAttempt

log = structlog.get_logger()
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 1.0
UNKNOWN_SECONDS = 10.0
NAME = f"{socket.gethostname()}-{os.getpid()}"


class Worker:
    """Any number may compete: a job is started by one of them, and only its word counts."""

    def __init__(
        self, rollbook: Rollbook, queue: JetStreamJobs, handlers: Mapping[str, Handler], concurrency: int
    ) -> None:
        self.rollbook = rollbook
        self.queue = queue
        self.handlers = handlers
        self.concurrency = concurrency
        self.working: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; jobs that are under way are then put back for other workers."""
        taking = asyncio.create_task(self.take())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([taking, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (taking, stopping, *self.working):
                task.cancel()
            await asyncio.gather(taking, stopping, *self.working, return_exceptions=True)
            await self.queue.close()

    async def take(self) -> None:
        """Takes what is offered while it has a hand free."""
        while True:
            try:
                for offer in await self.queue.take(self.concurrency - len(self.working), LOOK_SECONDS):
                    task = asyncio.create_task(self.work(offer))
                    self.working.add(task)
                    task.add_done_callback(self.working.discard)
            except TROUBLES as problem:
                log.warning("jobs.taking_interrupted", problem=type(problem).__name__)
                await asyncio.sleep(PAUSE_SECONDS)
            while len(self.working) >= self.concurrency:
                await asyncio.wait(self.working, return_when=asyncio.FIRST_COMPLETED)

    async def work(self, offer: JetStreamOffer) -> None:
        """One offer; what is not to be done any more is only taken off."""
        try:
            job = await self.rollbook.executor.look(offer.job.organisation, Job, offer.job.job_id)
            if job is not None and job.status in WAITING and job.handler not in self.handlers:
                await offer.give_back(UNKNOWN_SECONDS)
                return
            if job is not None and job.status in WAITING:
                await self.start(offer, job)
            await offer.settle()
        except (*TROUBLES, RollbookError) as problem:
            log.warning("job.interrupted", job_id=str(offer.job.job_id), problem=type(problem).__name__)

    async def start(self, offer: JetStreamOffer, job: Job) -> None:
        """Takes the job, unless somebody else was faster."""
        try:
            await self.record(offer, start_job, StartJob(offer.job.job_id, NAME))
        except (Clash, NotFound):
            return
        await self.attempt(RunningAttempt(self.rollbook, offer, job, job.fence))

    async def attempt(self, attempt: RunningAttempt) -> None:
        """Lets the handler work, and records how it ended; a lost lease leaves nothing to record."""
        handler = self.handlers[attempt.job.handler]
        working = asyncio.create_task(within(handler, attempt))
        keeping = asyncio.create_task(attempt.keep(working))
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError:
            attempt.ended_by = "stopped"
            working.cancel()
        outcome = (await asyncio.gather(working, return_exceptions=True))[0]
        await asyncio.gather(keeping, return_exceptions=True)
        handle, command = ending(attempt, outcome, handler.concern)
        if handle is not None:
            await self.record(attempt.offer, handle, command)
        log.info("job.ended", job_id=str(attempt.job_id), handler=handler.name, how=command)

    async def record(self, offer: JetStreamOffer, handle: CommandHandler, command: Any) -> None:
        """Appends what happened to the job."""
        around = await circumstances(self.rollbook, offer.job.organisation, "worker")
        await self.rollbook.executor.execute(offer.job.organisation, around, handle, command)


async def within(handler: Handler, attempt: RunningAttempt) -> dict[str, Any]:
    """The handler's result, or TimedOut."""
    try:
        async with asyncio.timeout(attempt.job.timeout_seconds) as limit:
            return await handler.handle(attempt)
    except TimeoutError:
        if limit.expired():
            raise TimedOut from None
        raise


class TimedOut(Exception):
    """The job took longer than it may."""


def ending(attempt: RunningAttempt, outcome: Any, concern: Concern | None) -> tuple[CommandHandler | None, Any]:
    """The command that records this outcome, None when nothing is to be said."""
    of = (attempt.job_id, attempt.fence)
    end = EndJob(*of, concern=concern)
    if isinstance(outcome, dict):
        return complete_job, CompleteJob(*of, outcome, concern=concern)
    if isinstance(outcome, TimedOut):
        return time_out_job, end
    if isinstance(outcome, asyncio.CancelledError):
        return {"cancelled": confirm_cancel, "stopped": lose_worker}.get(attempt.ended_by or ""), end
    return fail_job, FailJob(*of, in_words(outcome), mendable(outcome), random(), concern=concern)


def in_words(problem: BaseException) -> str:
    """Why it failed; of errors that are not ours only the kind, as they might quote a secret."""
    return problem.message if isinstance(problem, RollbookError) else type(problem).__name__
