"""Puts what may start into the queue of jobs: at once what is asked for here, within a second whatever else waits."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import structlog

from adapters.nats.job_queue import TROUBLES, JetStreamJobs
from adapters.postgres.job_runs import Due, JobRuns
from application.handlers import Concern
from application.jobs import EndJob, lose_worker
from application.ports.event_store import Appended, Commit
from application.ports.job_queue import WaitingJob
from domain.errors import RollbookError
from domain.job import Job
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import circumstances

log = structlog.get_logger()
EVERY_SECONDS = 1.0
START = timedelta(seconds=15)
TOGETHER = 5000
INTERRUPTIONS = (*TROUBLES, RollbookError, psycopg.Error)


class Dispatcher:
    """Any number may run: the queue keeps out doubles, and the domain whatever doubles it does not."""

    def __init__(self, rollbook: Rollbook, queue: JetStreamJobs, sweeps: bool) -> None:
        """`sweeps` is whether it looks for what others asked for, what came due and what lost its worker."""
        self.rollbook = rollbook
        self.queue = queue
        self.sweeps = sweeps
        self.runs = JobRuns(rollbook.pools)
        self.asked: list[WaitingJob] = []
        self.asked_now = asyncio.Event()
        self.position = 0
        self.due = Due(datetime.now(UTC), UUID(int=0))
        self.made = -1
        rollbook.store.on_appended.append(self.note)

    def note(self, commit: Commit, appended: Appended) -> None:
        """A job that was asked for here need not wait until somebody looks."""
        for events in commit.streams.values():
            self.asked += [waiting(commit.organisation, event) for event in events if startable(event)]
        if self.asked:
            self.asked_now.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; what fails is found again by the next look."""
        while not stop.is_set():
            try:
                await self.put_asked()
                if self.sweeps and not self.asked_now.is_set():
                    await self.sweep()
            except INTERRUPTIONS as problem:
                log.warning("jobs.dispatch_interrupted", problem=type(problem).__name__)
            await self.pause(stop)
        await self.queue.close()

    async def put_asked(self) -> None:
        """Offers what was asked for here."""
        self.asked_now.clear()
        asked, self.asked = self.asked, []
        await self.queue.put(asked)

    async def sweep(self) -> None:
        """Offers what began to wait, and what came due; after the queue was lost, everything."""
        now = datetime.now(UTC)
        await self.queue.open()
        if self.made != self.queue.made:
            self.position, self.due, self.made = 0, Due(now, UUID(int=0)), self.queue.made
        for organisation, job_id, fence in await self.runs.silent(now, now - START):
            await self.end_silent(organisation, job_id, fence, now)
        while (found := await self.runs.began_to_wait(now, self.position, TOGETHER))[0]:
            await self.queue.put(found[0])
            self.position = found[1]
        while (came := await self.runs.came_due(now, self.due, TOGETHER))[0]:
            await self.queue.put(came[0])
            self.due = came[1]

    async def end_silent(self, organisation: str, job_id: UUID, fence: int, now: datetime) -> None:
        """Lets another worker have a job whose own is silent; an outcome that came in between stands."""
        if not await self.runs.give_up(organisation, job_id, fence, now):
            return
        try:
            around = await circumstances(self.rollbook, organisation, "dispatcher")
            command = EndJob(job_id, fence, concern=await self.concern(organisation, job_id))
            await self.rollbook.executor.execute(organisation, around, lose_worker, command)
        except RollbookError as refusal:
            log.info("job.stands", job_id=str(job_id), code=refusal.code)

    async def concern(self, organisation: str, job_id: UUID) -> Concern | None:
        """What follows from the end of this job."""
        job = await self.rollbook.executor.look(organisation, Job, job_id)
        handler = self.rollbook.handlers.get(job.handler) if job else None
        return handler.concern if handler else None

    async def pause(self, stop: asyncio.Event) -> None:
        """Until something is asked for, the next look is due, or it is told to stop."""
        waits = [asyncio.create_task(event.wait()) for event in (stop, self.asked_now)]
        await asyncio.wait(waits, timeout=EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


def startable(event: Any) -> bool:
    """Whether this event lets a job start at once."""
    return isinstance(event, Job.Requested) and event.due_at is None


def waiting(organisation: str, event: Any) -> WaitingJob:
    """The job that was asked for."""
    return WaitingJob(organisation, event.originator_id, event.priority, event.originator_version)
