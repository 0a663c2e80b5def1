"""Takes jobs off their queue and has their handlers do them, so many at a time."""

import asyncio
import os
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from random import uniform
from time import monotonic
from typing import Any

import psycopg
import structlog

from adapters import metrics
from adapters.failpoints import failpoint
from adapters.nats.job_queue import TROUBLES, JetStreamJobs, JetStreamOffer
from adapters.tracing import linked_span
from application.execution import Handler as CommandHandler
from application.execution import stream_of
from application.handlers import Handler
from application.jobs import StartJob, start_job
from domain.errors import Clash, NotFound, RollbookError
from domain.job import Job
from domain.job_status import WAITING
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import act_because_of, circumstances
from entrypoints.workers.attempt import RunningAttempt
from entrypoints.workers.outcomes import Outcomes, TimedOut

log = structlog.get_logger()
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 1.0
MOST_WAITING = 32
UNKNOWN_SECONDS = 5.0
LONGEST_GIVE_BACK_SECONDS = 30.0
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
        self.outcomes = Outcomes(rollbook)
        self.working: set[asyncio.Task[None]] = set()
        self.attempts: set[RunningAttempt] = set()
        self.stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; jobs that are under way are then put back for other workers."""
        taking, told = asyncio.create_task(self.take()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([taking, told], return_when=asyncio.FIRST_COMPLETED)
            taking.cancel()
            await self.put_back()
        finally:
            for task in (taking, told, *self.working):
                task.cancel()
            await asyncio.gather(taking, told, *self.working, return_exceptions=True)
            await asyncio.gather(*self.working, return_exceptions=True)
            await self.queue.close()

    async def put_back(self) -> None:
        """Stops the handlers, and waits until it is recorded that their jobs wait again."""
        self.stopping = True
        for attempt in self.attempts:
            attempt.end_by("stopped")
        await asyncio.gather(*self.working, return_exceptions=True)

    async def take(self) -> None:
        """Takes what is offered while it has a hand free. A cancellation may get lost in a wait that is just over."""
        while not self.stopping:
            try:
                # Workers that look in step would find what is given back in the same order each time.
                seconds = LOOK_SECONDS * uniform(0.5, 1.5)
                offers = await self.queue.take(self.hands_free, seconds)
                await self.read_or_give_back(offers)
                for offer in offers:
                    task = asyncio.create_task(self.work(offer))
                    self.working.add(task)
                    task.add_done_callback(self.working.discard)
            except (*TROUBLES, RollbookError, psycopg.Error) as problem:
                log.warning("jobs.taking_interrupted", problem=type(problem).__name__)
                await self.queue.close()
                await asyncio.sleep(PAUSE_SECONDS)
            while self.hands_free <= 0:
                await asyncio.wait(self.working, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    @property
    def hands_free(self) -> int:
        """How many more jobs it can take; one that only waits for another job needs no hand until it goes on."""
        waiting = sum(attempt.waits for attempt in self.attempts)
        return self.concurrency - len(self.working) + min(waiting, MOST_WAITING)

    async def read_or_give_back(self, offers: Sequence[JetStreamOffer]) -> None:
        """Where the jobs cannot be read now, they are offered again soon."""
        try:
            await self.read(offers)
        except (RollbookError, psycopg.Error):
            for offer in offers:
                await offer.give_back(PAUSE_SECONDS)
            raise

    async def read(self, offers: Sequence[JetStreamOffer]) -> None:
        """Reads the jobs that are offered together, at least as they were when they were offered.

        Others may have changed them since they were here last.
        """
        wanted: dict[str, list[str]] = defaultdict(list)
        cache = self.rollbook.executor.cache
        for organisation, job_id, version in ((o.job.organisation, o.job.job_id, o.job.version) for o in offers):
            known = cache.get(organisation, stream_of(Job, job_id))
            if known is None or known.version < version:
                wanted[organisation].append(stream_of(Job, job_id))
        for organisation, streams in wanted.items():
            for stream, job in (await self.rollbook.store.load(organisation, streams)).items():
                cache.put(organisation, stream, job)

    async def work(self, offer: JetStreamOffer) -> None:
        """One offer; what is not to be done any more is only taken off."""
        act_because_of(offer.job.correlation_id)
        try:
            job = await self.rollbook.executor.look(offer.job.organisation, Job, offer.job.job_id)
            waits = job is not None and job.status in WAITING
            if job is not None and waits and (seconds := self.not_now(job)):
                await offer.give_back(seconds)
                return
            if job is not None and waits:
                with linked_span(f"job {job.handler}", [offer.job.traceparent], **{"rollbook.job_id": str(job.id)}):
                    await self.start(offer, waited(job, self.rollbook.executor.clock()))
            await offer.settle()
        except (*TROUBLES, RollbookError, psycopg.Error) as problem:
            log.warning("job.interrupted", job_id=str(offer.job.job_id), problem=type(problem).__name__)
        except Exception:  # The worker goes on with other jobs, whatever one of them did.
            log.exception("job.broken_off", job_id=str(offer.job.job_id))

    def not_now(self, job: Job) -> float:
        """For how many seconds this worker cannot have the job: it is unknown here, or not due by the clock here."""
        now = self.rollbook.executor.clock()
        if self.stopping:
            return 0.001
        if job.handler not in self.handlers:
            return UNKNOWN_SECONDS
        if job.due_at is None or job.is_due(now):
            return 0
        return min((datetime.fromisoformat(job.due_at) - now).total_seconds(), LONGEST_GIVE_BACK_SECONDS)

    async def start(self, offer: JetStreamOffer, seconds: float) -> None:
        """Takes the job, unless somebody else was faster; it has waited for so long."""
        try:
            await self.record(offer, start_job, StartJob(offer.job.job_id, NAME))
        except (Clash, NotFound):
            return
        failpoint("after_job_start")
        job = await self.rollbook.executor.look(offer.job.organisation, Job, offer.job.job_id)
        if job is not None:
            metrics.JOB_WAIT_SECONDS.labels(job.handler).observe(seconds)
            await self.attempt(RunningAttempt(self.rollbook, offer, job))

    async def attempt(self, attempt: RunningAttempt) -> None:
        """Lets the handler work, and records how it ended; a lost lease leaves nothing to record."""
        handler = self.handlers[attempt.job.handler]
        working = asyncio.create_task(within(handler, attempt))
        keeping = asyncio.create_task(attempt.keep(working))
        self.attempts.add(attempt)
        try:
            await asyncio.sleep(0)
            if self.stopping:
                attempt.end_by("stopped")
            await asyncio.wait([keeping])
            await self.outcomes.record(attempt, working, handler)
            await self.count(attempt)
        finally:
            self.attempts.discard(attempt)
            working.cancel()
            keeping.cancel()

    async def count(self, attempt: RunningAttempt) -> None:
        """Tells how long the try took, and what came of it."""
        job = await self.rollbook.executor.look(attempt.organisation, Job, attempt.job_id)
        metrics.JOB_SECONDS.labels(attempt.job.handler).observe(monotonic() - attempt.began)
        if job is not None:
            metrics.JOB_TRIES.labels(attempt.job.handler, job.status).inc()

    async def record(self, offer: JetStreamOffer, handle: CommandHandler, command: Any) -> None:
        """Appends what happened to the job."""
        around = await circumstances(self.rollbook, offer.job.organisation, "worker")
        await self.rollbook.executor.execute(offer.job.organisation, around, handle, command)


def waited(job: Job, now: datetime) -> float:
    """For how many seconds a job that waits could have started."""
    since = datetime.fromisoformat(job.due_at) if job.due_at else job.modified_on
    return max(0.0, (now - since).total_seconds())


async def within(handler: Handler, attempt: RunningAttempt) -> dict[str, Any]:
    """The handler's result, or TimedOut."""
    try:
        async with asyncio.timeout(attempt.job.timeout_seconds) as limit:
            return await handler.handle(attempt)
    except TimeoutError:
        if limit.expired():
            raise TimedOut from None
        raise
