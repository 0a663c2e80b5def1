"""Somebody changes their mind while a worker makes a file: it is no more, and its history says why."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.blobs.store import Blobs
from adapters.nats.job_queue import JetStreamJobs
from adapters.packages.keeping import BlobPackages
from application.exporting import Exporting
from application.exports import GENERATING
from entrypoints.job_handlers import Work
from entrypoints.workers.dispatching import Dispatcher
from entrypoints.workers.working import Worker
from tests.deployments import test_crashes as crashes
from tests.deployments.conftest import Shop

pytestmark = pytest.mark.timeout(120)
LIMIT = 60
shop = crashes.shop


class Stuck:
    """The blobs of packages on a disk that gives the manifest and the first part, and then nothing more."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs, self.reads, self.is_stuck = blobs, 0, asyncio.Event()

    async def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        self.reads += 1
        async for chunk in self.blobs.read(digest, offset):
            yield chunk
        if self.reads == 2:
            self.is_stuck.set()
            async with asyncio.timeout(LIMIT):
                await asyncio.Event().wait()


def somebody_is_at_work(shop: Shop, stuck: Stuck) -> None:
    """A worker whose disk gets stuck."""
    app, stopped, work = shop.rollbook.app, shop.stop, Work(shop.rollbook.app)
    blobs: Any = stuck
    exporter = replace(app.exporter, packages=BlobPackages(blobs))
    handler = Exporting(exporter, work.about, app.executor.look, work.run).handler()
    worker = Worker(app, JetStreamJobs(shop.nats_url), app.handlers | {GENERATING: handler}, 1)
    dispatcher = Dispatcher(app, JetStreamJobs(shop.nats_url), True)
    shop.tasks += [asyncio.create_task(one.run(stopped)) for one in (worker, dispatcher)]


async def test_a_file_that_nobody_wants_any_more_is_not_there(shop: Shop) -> None:
    stuck = Stuck(shop.rollbook.app.packages.store)
    somebody_is_at_work(shop, stuck)
    package = await shop.pack()
    job = (await shop.ask("POST", f"/packages/{package}/generate", 202, json={"background": True}))["job_id"]
    await asyncio.wait_for(stuck.is_stuck.wait(), LIMIT)

    assert await shop.actions(package) == [("export", "in_progress"), ("pack", "completed")]
    await shop.ask("GET", f"/jobs/{job}/file", 409)
    await shop.ask("POST", f"/jobs/{job}/cancel", json={"reason": "the wrong package"})
    assert (await shop.job(job, "cancelled", "completed", "failed"))["status"] == "cancelled"
    newest = (await shop.ask("GET", f"/packages/{package}/actions"))["actions"][0]
    assert (newest["actiontype"], newest["actionstatus"]) == ("export", "failed")
    assert newest["errorlog"] == ["the wrong package"]
    await shop.ask("GET", f"/jobs/{job}/file", 404)
    left = [path for path in (shop.rollbook.app.settings.data_dir / "job-files").rglob("*") if path.is_file()]
    assert left == []
    await shop.end()
