"""Forgets what is kept of jobs beside the log once nobody needs it, and makes blobs of logs that were left lines."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import psycopg
import structlog

from adapters.postgres.pools import BeingBuilt
from adapters.reachability import in_words
from domain.errors import RollbookError
from entrypoints.composition import Rollbook

log = structlog.get_logger()
EVERY_SECONDS = 60.0
PROGRESS_KEPT = timedelta(days=1)
TOGETHER = 1000


class JobKeeping:
    """Any number may run: each of them finds what the others have not done yet."""

    def __init__(self, rollbook: Rollbook) -> None:
        self.rollbook = rollbook

    async def run(self, stop: asyncio.Event) -> None:
        """A round every minute until told to stop; what fails is tried again in the next."""
        while not stop.is_set():
            try:
                await self.round()
            except (RollbookError, psycopg.Error) as problem:
                say = log.info if isinstance(problem, BeingBuilt) else log.warning
                say("jobs.keeping_interrupted", problem=in_words(problem))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_SECONDS)

    async def round(self) -> None:
        """Logs of workers that died before they could, then whatever is old."""
        logs, runs = self.rollbook.logs, self.rollbook.runs
        for organisation, job_id in await logs.left():
            await logs.keep(organisation, job_id)
        now = await runs.now()
        while await runs.forget(now - PROGRESS_KEPT, TOGETHER) == TOGETHER:
            await asyncio.sleep(0)
        log_age = timedelta(days=self.rollbook.settings.job_log_days)
        while await logs.forget(now - log_age, TOGETHER) == TOGETHER:
            await asyncio.sleep(0)
