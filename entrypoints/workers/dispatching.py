"""Puts what may start into the queue of jobs: at once what is asked for here, within a second whatever else waits."""

import asyncio
from collections import OrderedDict
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import structlog

from adapters.nats.job_queue import TROUBLES, JetStreamJobs
from adapters.postgres.job_runs import Due, RunningJob
from adapters.postgres.pools import BeingBuilt
from application.execution import stream_of
from application.handlers import Concern
from application.jobs import EndJob, lose_worker
from application.ports.event_store import Appended, Commit
from application.ports.job_queue import WaitingJob
from domain.errors import RollbookError
from domain.job import Job
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import act_because_of, circumstances
from entrypoints.workers.silence import Silence

log = structlog.get_logger()
EVERY_SECONDS = 1.0
TOGETHER = 5000
COUNT_EVERY_ROUNDS = 10
REMEMBERED = 50_000
INTERRUPTIONS = (*TROUBLES, RollbookError, psycopg.Error)
WAIT_AGAIN = (Job.Released, Job.WorkerLost, Job.Retried)


class Dispatcher:
    """Any number may run: the queue keeps out doubles, and the domain whatever doubles it does not."""

    def __init__(self, rollbook: Rollbook, queue: JetStreamJobs, sweeps: bool) -> None:
        """`sweeps` is whether it looks for what others asked for, what came due and what lost its worker."""
        self.rollbook = rollbook
        self.queue = queue
        self.sweeps = sweeps
        self.silence = Silence()
        self.asked: list[WaitingJob] = []
        self.asked_now = asyncio.Event()
        self.offered: OrderedDict[tuple[UUID, int], None] = OrderedDict()
        self.position = 0
        self.due: Due | None = None
        self.identity = ""
        self.swept = float("-inf")
        self.rounds = 0
        rollbook.store.on_appended.append(self.note)

    def note(self, commit: Commit, appended: Appended) -> None:
        """A job that was asked for here need not wait until somebody looks."""
        for events in commit.streams.values():
            for event in events:
                if job := self.startable(commit, event):
                    self.asked.append(job)
                    self.asked_now.set()

    def startable(self, commit: Commit, event: Any) -> WaitingJob | None:
        """The job that this event lets start at once; None where we do not know how urgent it is, too."""
        organisation, around = commit.organisation, commit.circumstances
        if isinstance(event, Job.Requested):
            due, priority = event.due_at is None, event.priority
        elif isinstance(event, WAIT_AGAIN):
            known = self.rollbook.executor.cache.get(organisation, stream_of(Job, event.originator_id))
            due, priority = known is not None, known.priority if known else 0
        else:
            return None
        if not due:
            return None
        cause = (around.correlation_id, around.traceparent)
        return WaitingJob(organisation, event.originator_id, priority, event.originator_version, *cause)

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; what fails is found again by the next look."""
        while not stop.is_set():
            try:
                await self.put_asked()
                if self.sweeps and monotonic() - self.swept >= EVERY_SECONDS:
                    self.swept = monotonic()
                    await self.sweep()
            except INTERRUPTIONS as problem:
                say = log.info if isinstance(problem, BeingBuilt) else log.warning
                say("jobs.dispatch_interrupted", problem=type(problem).__name__)
                await self.queue.close()
            await self.pause(stop)
        await self.queue.close()

    async def put_asked(self) -> None:
        """Offers what was asked for here."""
        self.asked_now.clear()
        asked, self.asked = self.asked, []
        await self.put(asked)

    async def put(self, jobs: list[WaitingJob]) -> None:
        """Offers jobs, each wait of a job once."""
        new = [job for job in jobs if (job.job_id, job.version) not in self.offered]
        await self.queue.put(new)
        for job in new:
            self.offered[job.job_id, job.version] = None
        while len(self.offered) > REMEMBERED:
            self.offered.popitem(last=False)

    async def sweep(self) -> None:
        """Offers what began to wait, and what came due; ends what lost its worker."""
        now = await self.rollbook.runs.now()
        if (identity := (await self.queue.state()).identity) != self.identity:
            self.start_over(now)
        self.identity = identity
        for job in self.silence.notice(await self.rollbook.runs.running()):
            await self.end_silent(job)
        while (found := await self.rollbook.runs.began_to_wait(now, self.position, TOGETHER))[0]:
            await self.put(found[0])
            self.position = found[1]
        due = self.due if self.due and self.due.at <= now else Due(now, UUID(int=0))
        while (came := await self.rollbook.runs.came_due(now, due, TOGETHER))[0]:
            await self.put(came[0])
            due = came[1]
        self.due, self.rounds = due, self.rounds + 1
        if self.rounds % COUNT_EVERY_ROUNDS == 0:
            offers = (await self.queue.state()).offers
            if (waiting := await self.rollbook.runs.waiting(now)) > offers:
                log.warning("jobs.offers_missing", offers=offers, waiting=waiting)
                self.start_over(now)

    def start_over(self, now: datetime) -> None:
        """Offers everything again: the queue is not the one we knew, or has lost some of what waits."""
        self.position, self.due = 0, Due(now, UUID(int=0))
        self.offered.clear()

    async def end_silent(self, job: RunningJob) -> None:
        """Lets another worker have a job whose own is silent; an outcome that came in between stands."""
        if not await self.rollbook.runs.give_up(job):
            return
        act_because_of(job.correlation_id)
        try:
            around = await circumstances(self.rollbook, job.organisation, "dispatcher")
            command = EndJob(job.job_id, job.fence, concern=await self.concern(job))
            await self.rollbook.executor.execute(job.organisation, around, lose_worker, command)
            log.warning("job.worker_lost", job_id=str(job.job_id), fence=job.fence)
        except RollbookError as refusal:
            log.info("job.stands", job_id=str(job.job_id), code=refusal.code)

    async def concern(self, running: RunningJob) -> Concern | None:
        """What follows from the end of this job."""
        job = await self.rollbook.executor.look(running.organisation, Job, running.job_id)
        handler = self.rollbook.handlers.get(job.handler) if job else None
        return handler.concern if handler else None

    async def pause(self, stop: asyncio.Event) -> None:
        """Until something is asked for, the next look is due, or it is told to stop."""
        waits = [asyncio.create_task(event.wait()) for event in (stop, self.asked_now)]
        await asyncio.wait(waits, timeout=EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
