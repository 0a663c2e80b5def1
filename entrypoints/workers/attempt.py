"""One try at a job: what its handler is given, and the heartbeat that keeps it this worker's."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import structlog

from adapters.nats.job_queue import TROUBLES, JetStreamOffer
from adapters.postgres.job_runs import JobRuns
from application.jobs import ReachMilestone, reach_milestone
from domain.errors import LeaseLost, RollbookError
from domain.job import Job
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import circumstances

log = structlog.get_logger()
BEAT_SECONDS = 1.0
LEASE_SECONDS = 15.0
KEEP_SECONDS = 10.0
LONGEST_LINE = 4000


class RunningAttempt:
    """See application.handlers.Attempt. `ended_by` is why the handler was cancelled, None while it was not."""

    def __init__(self, rollbook: Rollbook, offer: JetStreamOffer, job: Job, fence: int) -> None:
        self.rollbook = rollbook
        self.runs = JobRuns(rollbook.pools)
        self.offer = offer
        self.job = job
        self.number = job.attempt
        self.fence = fence
        self.facts: dict[str, Any] = {}
        self.lines: list[str] = []
        self.ended_by: str | None = None
        self.began = self.kept = self.offered = monotonic()

    @property
    def organisation(self) -> str:
        """Whose job it is."""
        return self.offer.job.organisation

    @property
    def job_id(self) -> UUID:
        """The job."""
        return self.offer.job.job_id

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What was asked for."""
        return self.job.arguments

    def progress(self, **facts: int | float | str | None) -> None:
        """Kept here until the next heartbeat."""
        self.facts |= facts

    def log(self, line: str) -> None:
        """Kept here until the next heartbeat."""
        self.lines.append(line[:LONGEST_LINE])

    async def milestone(self, name: str, **facts: Any) -> None:
        """An event of the job."""
        command = ReachMilestone(self.job_id, self.fence, name, facts)
        around = await circumstances(self.rollbook, self.organisation, "worker")
        await self.rollbook.executor.execute(self.organisation, around, reach_milestone, command)

    async def beat(self) -> None:
        """Keeps the lease, tells the progress, writes the log; notices that the job is to be cancelled."""
        until = datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS)
        told = self.told()
        if await self.runs.beat(self.organisation, self.job_id, self.fence, until, told):
            self.ended_by = "cancelled"
        self.kept = monotonic()
        lines, self.lines = self.lines, []
        if lines:
            await self.runs.write_lines(self.organisation, self.job_id, self.number, lines)

    def told(self) -> dict[str, Any]:
        """The progress, with the rate and the time that is left."""
        seconds = monotonic() - self.began
        told = {**self.facts, "seconds": round(seconds, 1)}
        done, total = self.facts.get("done"), self.facts.get("total")
        if isinstance(done, int) and done > 0 and seconds > 0:
            told["rate"] = round(done / seconds, 1)
            if isinstance(total, int) and total >= done:
                told["seconds_left"] = round((total - done) * seconds / done, 1)
        return told

    async def keep(self, working: asyncio.Task[Any]) -> None:
        """Beats until the handler has ended; cancels it when the job is cancelled or the lease is over."""
        ended = False
        while not ended:
            await asyncio.wait([working], timeout=BEAT_SECONDS)
            ended = working.done()
            if not ended or self.facts or self.lines:
                await self.beat_or_end()
            if self.ended_by and not ended:
                working.cancel()
                await asyncio.wait([working])

    async def beat_or_end(self) -> None:
        """A heartbeat; while the database is away the lease goes on until its time is over."""
        try:
            await self.beat()
            if monotonic() - self.offered > KEEP_SECONDS:
                self.offered = monotonic()
                await self.offer.keep()
        except LeaseLost:
            self.ended_by = "lost"
        except (*TROUBLES, RollbookError, psycopg.Error) as problem:
            log.warning("job.beat_missed", job_id=str(self.job_id), problem=type(problem).__name__)
            if monotonic() - self.kept > LEASE_SECONDS:
                self.ended_by = "lost"
