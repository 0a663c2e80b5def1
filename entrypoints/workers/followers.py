"""What runs beside the servers of a process: each part of it brings its own."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from adapters.checkpoint_choosing import checkpoint_exports_of, sealer_of
from adapters.embedded.nats import EmbeddedNats
from adapters.nats.job_queue import JetStreamJobs
from adapters.nats.relay import Relay
from adapters.postgres.projector import Projector
from entrypoints.composition import Rollbook
from entrypoints.workers.dispatching import Dispatcher
from entrypoints.workers.housekeeping import Housekeeping
from entrypoints.workers.job_keeping import JobKeeping
from entrypoints.workers.sealing import Exporting, Sealing
from entrypoints.workers.sweeping import Sweeping
from entrypoints.workers.webhook_delivery import WebhookDelivery
from entrypoints.workers.webhook_following import WebhookFollowing
from entrypoints.workers.working import Worker


@dataclass(slots=True)
class Followers:
    """Starts what the parts of this process need; all of it ends soon after `stop` is set."""

    rollbook: Rollbook
    parts: frozenset[str]
    nats_url: str
    broker: EmbeddedNats | None
    stop: asyncio.Event
    projector: Projector | None = None
    relay: Relay | None = None

    def all(self) -> list[Awaitable[None]]:
        """Everything, started by whoever awaits it."""
        found = self.projecting() if "project" in self.parts else []
        found += self.relaying() if "relay" in self.parts else []
        found += self.keeping() if "work" in self.parts else []
        return found + self.doing_jobs()

    def projecting(self) -> list[Awaitable[None]]:
        """Keeps the read models."""
        self.projector = self.rollbook.projector()
        return [self.projector.run(self.stop), *self.sealing()]

    def sealing(self) -> list[Awaitable[None]]:
        """Seals the log, and tells others of that."""
        settings, pools = self.rollbook.settings, self.rollbook.pools
        found: list[Awaitable[None]] = [Sealing(self.rollbook, sealer_of(settings, pools)).run(self.stop)]
        exports = checkpoint_exports_of(settings, self.nats_url)
        return found + [Exporting(self.rollbook, one).run(self.stop) for one in exports]

    def relaying(self) -> list[Awaitable[None]]:
        """Copies the log to NATS."""
        self.relay = self.rollbook.relay(self.nats_url)
        found: list[Awaitable[None]] = [self.relay.run(self.stop)]
        if self.rollbook.settings.cdevents:
            found.append(self.rollbook.twin_relay(self.nats_url).run(self.stop))
        if self.broker:
            found += [self.broker.unstick(self.relay.is_stuck, self.stop), self.broker.admit(self.stop)]
        return found

    def keeping(self) -> list[Awaitable[None]]:
        """Tidies up, and lets go what is due."""
        keepers = (Housekeeping, JobKeeping, Sweeping, WebhookFollowing, WebhookDelivery)
        return [follower(self.rollbook).run(self.stop) for follower in keepers]

    def doing_jobs(self) -> list[Awaitable[None]]:
        """Who offers jobs, and who does them; without NATS jobs wait."""
        works = "work" in self.parts
        if not self.nats_url or not (works or "serve" in self.parts):
            return []
        found: list[Awaitable[None]] = [
            Dispatcher(self.rollbook, JetStreamJobs(self.nats_url), sweeps=works).run(self.stop)
        ]
        if works:
            concurrency = self.rollbook.settings.worker_concurrency
            worker = Worker(self.rollbook, JetStreamJobs(self.nats_url), self.rollbook.handlers, concurrency)
            found.append(worker.run(self.stop))
        return found
