"""Keeps the stores of blobs tidy: forgets uploads and files whose time is over, and blobs that nothing refers to."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import structlog

from adapters.packages.sweeping import Sweeper, sweep_files
from adapters.reachability import in_words
from domain.errors import RollbookError
from entrypoints.composition import Rollbook

log = structlog.get_logger()
EVERY_SECONDS = 600.0
ROUNDS_OF_BLOBS = 36


class Sweeping:
    """Any number may run: what another has forgotten is forgotten."""

    def __init__(self, rollbook: Rollbook) -> None:
        self.rollbook = rollbook
        self.sweeper = Sweeper(rollbook.pools, rollbook.packages.store)

    async def run(self, stop: asyncio.Event) -> None:
        """A round every ten minutes until told to stop; what fails is tried again in the next."""
        number = 0
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_SECONDS)
            number += 1
            if not stop.is_set():
                await self.round(number)

    async def round(self, number: int) -> None:
        """Uploads each time, what lies in stores every six hours."""
        try:
            uploads = await self.rollbook.uploads.expire()
            blobs = await self.sweep(datetime.now(UTC)) if number % ROUNDS_OF_BLOBS == 0 else 0
        except (RollbookError, psycopg.Error) as fault:
            log.warning("sweeping.interrupted", problem=in_words(fault))
            return
        if uploads or blobs:
            log.info("sweeping.done", uploads=uploads, blobs=blobs)

    async def sweep(self, now: datetime) -> int:
        """How many files of jobs, and blobs of packages, are no more."""
        kept = timedelta(days=self.rollbook.settings.job_file_days)
        files = await sweep_files(self.rollbook.exporter.files, now - kept)
        return files + await self.sweeper.sweep(now)
