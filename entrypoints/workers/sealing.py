"""Seals the log while it grows, and hands each checkpoint on to wherever the settings say."""

import asyncio
from contextlib import suppress

import psycopg
import structlog

from adapters import metrics
from adapters.checkpoint_exports import CheckpointExport
from adapters.postgres.checkpoint_cursors import Told, tell_in_order
from adapters.postgres.sealing import Sealer, Unsealed
from adapters.reachability import in_words
from domain.errors import RollbookError
from entrypoints.composition import Rollbook

log = structlog.get_logger()
LOOK_SECONDS = 0.5
# What is sealed once a minute is looked at so much before the minute is over.
EARLY_SECONDS = 2.0
LONGEST_REST_SECONDS = 60.0
INTERRUPTIONS = (RollbookError, psycopg.Error, OSError)


class Sealing:
    """Any number may run: one seals at a time, and what it sealed is not due for the others."""

    def __init__(self, rollbook: Rollbook, sealer: Sealer) -> None:
        settings = rollbook.settings
        self.log = rollbook.log
        self.sealer = sealer
        self.events = settings.checkpoint_events
        self.seconds = max(settings.checkpoint_seconds - EARLY_SECONDS, settings.checkpoint_seconds / 2)
        self.position = 0
        self.problem = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; what fails is tried again, and said once."""
        while not stop.is_set():
            problem = ""
            try:
                await self.round()
            except INTERRUPTIONS as fault:
                problem = in_words(fault)
                await rest(stop, LOOK_SECONDS)
            if problem and problem != self.problem:
                log.warning("sealing.interrupted", problem=problem)
            self.problem = problem
            await self.log.wait_beyond(self.position + self.events - 1, LOOK_SECONDS)

    async def round(self) -> None:
        """Seals all that is due."""
        left = await self.sealer.unsealed()
        while self.is_due(left) and await self.sealer.seal(self.events):
            left = await self.sealer.unsealed()
        self.position = left.position
        metrics.CHECKPOINT_POSITION.set(left.position)
        metrics.CHECKPOINT_AGE.set(left.age)

    def is_due(self, left: Unsealed) -> bool:
        """Whether there are many events, or any and the last checkpoint is old."""
        return left.events >= self.events or (left.events > 0 and left.since >= self.seconds)


class Exporting:
    """Hands on to one place what it has not been told yet, in order, for as long as it takes."""

    def __init__(self, rollbook: Rollbook, export: CheckpointExport) -> None:
        self.pools = rollbook.pools
        self.export = export
        self.pause = LOOK_SECONDS
        self.problem: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; a place that takes nothing is asked less and less often, up to once a minute."""
        try:
            while not stop.is_set():
                await self.round()
                await rest(stop, self.pause)
        finally:
            await self.export.close()

    async def round(self) -> None:
        """Tells what is new."""
        try:
            told = await tell_in_order(self.pools, self.export)
        except INTERRUPTIONS as fault:
            told = Told(problem=in_words(fault))
        metrics.CHECKPOINT_EXPORT_LAG.labels(self.export.kind).set(told.left)
        if told.problem and told.problem != self.problem:
            log.warning("checkpoints.not_exported", to=self.export.kind, problem=told.problem)
        self.problem = told.problem
        self.pause = min(self.pause * 2, LONGEST_REST_SECONDS) if told.problem else LOOK_SECONDS


async def rest(stop: asyncio.Event, seconds: float) -> None:
    """A while, or until told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
