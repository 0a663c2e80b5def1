"""What a process says of itself on its management port: whether it is ready, and what is measured at each scrape."""

import asyncio
from contextlib import suppress
from importlib.metadata import version
from time import monotonic

import psycopg

from adapters import metrics
from adapters.nats.relay import Relay
from adapters.postgres.projector import Projector
from adapters.postgres.retirement import note_use
from adapters.postgres.signs import Progress, progress, queue_age
from domain.errors import RollbookError
from entrypoints.composition import Rollbook
from projections.registry import DEPLOYMENTS, READ_MODELS

Problems = dict[str, str]
PRESENCE_SECONDS = 5.0
# A scrape must not wait as long as a request does.
MEASURE_SECONDS = 2.0


class KeepingUp:
    """Whether read models reach, in time, what was the end of the log when one looked.

    The first end that is seen must be reached before anything else: until then they are being built.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.goal: int | None = None
        self.since = float("-inf")

    def is_so(self, seen: Progress, now: float) -> bool:
        """False when a read would wait in vain."""
        if self.goal is None:
            self.goal = seen.head
        if seen.projected >= self.goal:
            self.goal, self.since = seen.head, now
            return True
        return now - self.since <= self.patience


class Condition:
    """The condition of one process that runs these parts."""

    def __init__(
        self, rollbook: Rollbook, parts: frozenset[str], projector: Projector | None, relay: Relay | None
    ) -> None:
        self.rollbook = rollbook
        self.reads = bool(parts & {"serve", "project"})
        self.projector = projector
        self.relay = relay
        self.keeping_up = KeepingUp(rollbook.settings.read_wait_ms / 1000)
        metrics.INFO.labels(version("rollbook")).set(1)

    async def readiness(self) -> tuple[Problems, Problems]:
        """What fails, and what is merely degraded: without NATS nothing is lost, the feed waits."""
        degraded = {"nats": self.relay.problem} if self.relay and self.relay.problem else {}
        try:
            seen = await progress(self.rollbook.pools, READ_MODELS)
        except RollbookError as problem:
            return {"store": problem.message}, degraded
        if self.rollbook.store.full:
            degraded["disk"] = "full: no command is taken"
        if seen.parked:
            degraded["parked"] = f"{seen.parked} streams are stale in the read models"
        return self.of_read_models(seen), degraded

    def of_read_models(self, seen: Progress) -> Problems:
        """Why reads cannot be answered in time."""
        kept_up = self.keeping_up.is_so(seen, monotonic())
        if self.projector and (problem := self.of_projector(self.projector)):
            return {"projector": problem}
        if kept_up or not self.reads:
            return {}
        return {"read_models": f"{seen.behind} events behind the log" if seen.projected >= 0 else "not begun yet"}

    def of_projector(self, projector: Projector) -> str | None:
        """Why it does not get on; what may pass by itself is given as long as a read would wait."""
        if projector.trouble and monotonic() - projector.trouble[1] > self.keeping_up.patience:
            return f"interrupted: {projector.trouble[0]}"
        return projector.problem or projector.building

    async def measure(self) -> None:
        """Sets the gauges that are read off the store; while it does not answer in time, only that is told."""
        try:
            async with asyncio.timeout(MEASURE_SECONDS):
                seen = await progress(self.rollbook.pools, READ_MODELS)
                age = await queue_age(self.rollbook.pools, DEPLOYMENTS)
                jobs = await self.rollbook.runs.state()
                webhooks = await self.rollbook.webhooks.deliveries.state()
        except (RollbookError, psycopg.Error, TimeoutError):
            metrics.STORE_UP.set(0)
            return
        metrics.STORE_UP.set(1)
        metrics.PROJECTION_POSITION.set(max(0, seen.projected))
        metrics.PROJECTION_LAG.set(seen.behind)
        metrics.PARKED_STREAMS.set(seen.parked)
        metrics.QUEUE_AGE.set(age)
        metrics.JOBS_WAITING.set(jobs.waiting)
        metrics.JOBS_RUNNING.set(jobs.running)
        metrics.JOB_AGE.set(jobs.age)
        metrics.WEBHOOK_WAITING.set(webhooks.waiting)
        metrics.WEBHOOK_DEAD.set(webhooks.dead)
        metrics.WEBHOOK_LAG.set(webhooks.age)

    async def be_seen(self, stop: asyncio.Event) -> None:
        """Says every few seconds which tables this process uses, so that nobody drops them."""
        while not stop.is_set():
            with suppress(RollbookError, psycopg.Error):
                await note_use(self.rollbook.pools, READ_MODELS)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PRESENCE_SECONDS)
