"""A Rollbook with a worker and a dispatcher, on a real NATS."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from adapters.embedded.nats import EmbeddedNats
from adapters.nats.job_queue import JetStreamJobs
from adapters.postgres.conditions import equals
from application.execution import Handler as CommandHandler
from application.handlers import Handler, by_name
from application.jobs import RequestJob, request_job
from entrypoints.composition import Rollbook
from entrypoints.workers.acting import circumstances
from entrypoints.workers.dispatching import Dispatcher
from entrypoints.workers.working import Worker
from projections.registry import JOBS
from tests.conftest import Running


@dataclass
class Jobs:
    """What tests do with jobs, in the organisation acme."""

    app: Rollbook
    nats_url: str
    handlers: dict[str, Handler] = field(default_factory=dict)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def handle(self, *handlers: Handler) -> None:
        """Registers handlers."""
        self.handlers |= by_name(*handlers)

    def dispatch(self) -> Dispatcher:
        """Starts a dispatcher."""
        dispatcher = Dispatcher(self.app, JetStreamJobs(self.nats_url), True)
        self.tasks.append(asyncio.create_task(dispatcher.run(self.stop)))
        return dispatcher

    def work(self, concurrency: int = 4, stop: asyncio.Event | None = None) -> asyncio.Task[None]:
        """Starts a worker, which ends with the test unless it has a sign of its own to stop at."""
        worker = Worker(self.app, JetStreamJobs(self.nats_url), dict(self.handlers), concurrency)
        self.tasks.append(task := asyncio.create_task(worker.run(stop or self.stop)))
        return task

    async def run(self, handle: CommandHandler, command: Any) -> str:
        """Runs a command."""
        around = await circumstances(self.app, "acme", "test")
        return (await self.app.executor.execute("acme", around, handle, command)).resource

    async def ask(self, handler: str = "ECHO", **facts: Any) -> UUID:
        """Asks for a job."""
        given: dict[str, Any] = {"arguments": {}, "timeout_seconds": 60, "max_retries": 3, **facts}
        return UUID(await self.run(request_job, RequestJob(handler=handler, prefix=handler.lower(), **given)))

    async def row(self, job_id: UUID) -> dict[str, Any]:
        """The job as it is now."""
        return (await self.app.views.select("acme", JOBS, [equals("key", str(job_id))])).rows[0]

    async def until(self, job_id: UUID, *statuses: str) -> dict[str, Any]:
        """The job once it has one of these statuses."""
        async with asyncio.timeout(30):
            while (row := await self.row(job_id))["status"] not in statuses:
                await self.app.log.wait_beyond(row["position"], 0.05)
        return row


@pytest.fixture
async def jobs(rollbook: Running, nats_server: EmbeddedNats) -> AsyncIterator[Jobs]:
    """Jobs, with nobody at work yet."""
    found = Jobs(rollbook.app, nats_server.url)
    yield found
    found.stop.set()
    await asyncio.wait_for(asyncio.gather(*found.tasks), 20)
