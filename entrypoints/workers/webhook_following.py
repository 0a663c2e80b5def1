"""Follows the log for webhooks, and keeps the table of their deliveries small."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from time import monotonic

import psycopg
import structlog

from adapters.reachability import in_words
from domain.errors import RollbookError
from entrypoints.composition import Rollbook

log = structlog.get_logger()
PAUSE_SECONDS = 1.0
TIDY_SECONDS = 60.0
TOGETHER = 1000


class WebhookFollowing:
    """Any number may run: each stretch of the log is written once, by whoever is first."""

    def __init__(self, rollbook: Rollbook) -> None:
        self.rollbook = rollbook
        self.queue = rollbook.webhooks.queue
        self.tidied = monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Goes on until told to stop; what fails is tried again a moment later."""
        while not stop.is_set():
            try:
                await self.round()
            except (RollbookError, psycopg.Error) as problem:
                log.warning("webhooks.following_interrupted", problem=in_words(problem))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), PAUSE_SECONDS)

    async def round(self) -> None:
        """What is new, then what some webhooks lack; waits where there is neither."""
        new = await self.queue.advance()
        if new + await self.queue.catch_up():
            self.rollbook.webhooks.wake()
        else:
            await self.rollbook.log.wait_beyond(await self.queue.progress())
        if monotonic() - self.tidied > TIDY_SECONDS:
            await self.tidy()

    async def tidy(self) -> None:
        """Forgets what is old, and lets those fall behind who do not keep up."""
        self.tidied = monotonic()
        kept = timedelta(days=self.rollbook.settings.webhook_keep_days)
        await self.queue.hold_back()
        await self.rollbook.webhooks.endpoints.forget_left()
        while await self.rollbook.webhooks.deliveries.tidy(kept, TOGETHER) == TOGETHER:
            await asyncio.sleep(0)
