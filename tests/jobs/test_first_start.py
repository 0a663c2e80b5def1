"""Before a projector has begun nobody who works on jobs complains: there is nothing to do yet."""

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from adapters.embedded.nats import EmbeddedNats
from adapters.nats.job_queue import JetStreamJobs
from entrypoints.composition import build
from entrypoints.workers.dispatching import Dispatcher
from entrypoints.workers.job_keeping import JobKeeping
from tests.conftest import Database, settings_for

WAITING = {"jobs.dispatch_interrupted", "jobs.keeping_interrupted"}


async def test_who_works_on_jobs_waits_for_the_read_models_without_a_warning(
    database: Database, nats_server: EmbeddedNats, tmp_path: Path
) -> None:
    rollbook, stop = await build(settings_for(tmp_path), database.app_url), asyncio.Event()
    workers = Dispatcher(rollbook, JetStreamJobs(nats_server.url), sweeps=True), JobKeeping(rollbook)
    with capture_logs() as said:
        running = asyncio.gather(*(worker.run(stop) for worker in workers))
        async with asyncio.timeout(20):
            while not {line["event"] for line in said} >= WAITING:
                await asyncio.sleep(0.01)
            stop.set()
            await running
    assert [line for line in said if line["log_level"] not in ("debug", "info")] == []
    await rollbook.close()
