"""One try at a job: what its handler is given, and the signs of life that keep it this worker's."""

import asyncio
from collections.abc import Mapping
from math import isfinite
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import structlog

from adapters.failpoints import failpoint
from adapters.nats.job_queue import TROUBLES, JetStreamOffer
from application.jobs import ReachMilestone, reach_milestone
from domain.errors import LeaseLost, RollbookError
from domain.job import Job
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import circumstances

log = structlog.get_logger()
TELL_SECONDS = 0.25
BEAT_SECONDS = 1.0
LEASE_SECONDS = 15.0
KEEP_SECONDS = 10.0
# How long a handler may take to undo what it began.
STOP_SECONDS = 60.0
LONGEST_LINE = 4000
MOST_LINES = 100_000
AWAY = (*TROUBLES, RollbookError, psycopg.Error)


class RunningAttempt:
    """See application.handlers.Attempt. `ended_by` is why the handler was cancelled, None while it was not."""

    def __init__(self, rollbook: Rollbook, offer: JetStreamOffer, job: Job) -> None:
        self.rollbook = rollbook
        self.offer = offer
        self.job = job
        self.number, self.fence = job.attempt, job.fence
        self.facts: dict[str, Any] = {}
        self.lines: list[str] = []
        self.written = 0
        self.ended_by: str | None = None
        self.working: asyncio.Task[Any] | None = None
        self.began = self.kept = self.beaten = self.offered = monotonic()
        self.last = self.began + job.timeout_seconds + STOP_SECONDS
        self.told: dict[str, Any] = {}

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

    @property
    def waits(self) -> bool:
        """Whether its handler says that it does nothing but wait for another job."""
        return bool(self.facts.get("waits"))

    def progress(self, **facts: int | float | str | None) -> None:
        """Kept here until it is told."""
        failpoint("progress")
        self.facts |= {name: tellable(fact) for name, fact in facts.items()}
        if monotonic() - self.kept > LEASE_SECONDS:
            self.end_by("lost")  # Who stood still says nothing more, before anybody tells him that others go on.

    def log(self, line: str) -> None:
        """Kept here until the next sign of life."""
        self.written += 1
        if self.written <= MOST_LINES:
            self.lines.append(line[:LONGEST_LINE].replace("\0", ""))
        elif self.written == MOST_LINES + 1:
            self.lines.append(f"What follows the first {MOST_LINES} lines is left out")

    async def milestone(self, name: str, **facts: Any) -> None:
        """An event of the job."""
        command = ReachMilestone(self.job_id, self.fence, name, facts)
        around = await circumstances(self.rollbook, self.organisation, "worker")
        await self.rollbook.executor.execute(self.organisation, around, reach_milestone, command)

    def end_by(self, reason: str) -> None:
        """Stops the handler where it waits; the first reason counts."""
        if self.ended_by is None and self.working is not None and not self.working.done():
            self.ended_by = reason
            self.last = min(self.last, monotonic() + STOP_SECONDS)
            self.working.cancel()

    async def keep(self, working: asyncio.Task[Any]) -> None:
        """Until the handler has ended: says that it lives and how far it is. Gives up on one that does not stop."""
        self.working = working
        while not working.done() and monotonic() < self.last:
            await asyncio.wait([working], timeout=TELL_SECONDS)
            await self.tell()
            if monotonic() - self.beaten >= BEAT_SECONDS and not working.done():
                await self.beat_or_end()
        if self.facts or self.lines:
            await self.beat_or_end()

    async def tell(self) -> None:
        """Lets whoever listens know, when there is anything new."""
        if (told := self.progress_now()) and self.facts != self.told:
            self.told = dict(self.facts)
            try:
                await self.offer.tell({"status": "processing", "attempt": self.number, "progress": told})
            except TROUBLES as problem:
                log.debug("job.not_told", job_id=str(self.job_id), problem=type(problem).__name__)

    def progress_now(self) -> dict[str, Any]:
        """The progress, with the rate and the time that is left."""
        seconds = monotonic() - self.began
        told = {**self.facts, "seconds": round(seconds, 1)}
        done, total = self.facts.get("done"), self.facts.get("total")
        if isinstance(done, int) and done > 0 and seconds > 0:
            told["rate"] = round(done / seconds, 1)
            if isinstance(total, int) and total >= done:
                told["seconds_left"] = round((total - done) * seconds / done, 1)
        return told

    async def beat_or_end(self) -> None:
        """A sign of life; while the database is away the job stays this worker's until its patience would be over."""
        self.beaten = monotonic()
        try:
            await self.beat()
        except LeaseLost:
            self.end_by("lost")
        except AWAY as problem:
            log.warning("job.beat_missed", job_id=str(self.job_id), problem=type(problem).__name__)
            if monotonic() - self.kept > LEASE_SECONDS:
                self.end_by("lost")

    async def beat(self) -> None:
        """Keeps the lease, tells the progress, writes the log; notices that the job is to be cancelled."""
        if await self.rollbook.runs.beat(self.organisation, self.job_id, self.fence, self.progress_now()):
            self.end_by("cancelled")
        self.kept = monotonic()
        if self.lines:
            lines, self.lines = self.lines, []
            await self.rollbook.logs.write(self.organisation, self.job_id, self.number, lines)
        if monotonic() - self.offered > KEEP_SECONDS:
            self.offered = monotonic()
            await self.offer.keep()


def tellable(fact: int | float | str | None) -> int | float | str | None:
    """The fact as any JSON can hold it."""
    if isinstance(fact, str):
        return fact[:LONGEST_LINE].replace("\0", "")
    return fact if fact is None or isfinite(fact) else None
