"""Keeps the store of blobs tidy: forgets uploads whose time is over, and blobs that nothing refers to."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import structlog

from adapters.packages.sweeping import Sweeper
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
        """Uploads each time, blobs every six hours."""
        try:
            uploads = await self.rollbook.uploads.expire()
            blobs = await self.sweeper.sweep(datetime.now(UTC)) if number % ROUNDS_OF_BLOBS == 0 else 0
        except (RollbookError, psycopg.Error) as fault:
            log.warning("sweeping.interrupted", problem=in_words(fault))
            return
        if uploads or blobs:
            log.info("sweeping.done", uploads=uploads, blobs=blobs)
