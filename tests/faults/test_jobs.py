"""Workers, NATS and the database are killed while jobs are done: each job ends once, and its effect is there once."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.jobs import RequestJob, request_job
from domain.job import ENDS
from entrypoints.composition import Rollbook, build
from entrypoints.workers.acting import circumstances
from tests.conftest import settings_for
from tests.faults.ground import Ground
from tests.faults.instance import Instance
from tests.faults.job_worker import TARGET

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent.parent
ENDINGS = [kind.TOPIC for kind in ENDS]  # type: ignore[attr-defined]
PAYLOAD = "convert_from(payload, 'utf8')::json"
TABLES = "create table tries (job uuid, fence int); create table effects (job uuid primary key)"


class WorkerInstance(Instance):
    """A worker that knows the handler of these tests."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.faults.job_worker"]


@dataclass
class Workshop:
    """Somebody who asks for jobs, and workers that can be killed."""

    ground: Ground
    app: Rollbook
    workers: list[WorkerInstance] = field(default_factory=list)

    async def hire(self, failpoint: str | None = None) -> WorkerInstance:
        """One more worker, ready."""
        url = self.ground.postgres.admin_url
        settings = {TARGET: url, "PYTHONPATH": str(ROOT), "WORKER_CONCURRENCY": "2"}
        made = self.ground.instance(WorkerInstance, "work", settings)
        self.workers.append(made)
        await made.start(failpoint)
        return made

    async def ask(self, **arguments: Any) -> UUID:
        """A job."""
        command = RequestJob("EFFECT", arguments, "effect", 600, 5)
        around = await circumstances(self.app, "acme", "test")
        return UUID((await self.app.executor.execute("acme", around, request_job, command)).resource)

    async def until(self, query: str, expected: Any, seconds: float = 60) -> None:
        """Until a query answers this."""
        async with asyncio.timeout(seconds):
            while (found := await self.find(query)) != expected:
                await asyncio.sleep(0.1)
        assert found == expected

    async def find(self, query: str) -> Any:
        """What a query answers: one value, or None while nobody answers."""
        try:
            async with await psycopg.AsyncConnection.connect(self.ground.postgres.admin_url) as admin:
                row = await (await admin.execute(query.encode())).fetchone()
        except psycopg.OperationalError:
            return None
        return row[0] if row else None

    async def until_ended(self, jobs: int) -> None:
        """Until that many jobs have ended, each once and with one effect."""
        ended = f"select count(*) from rollbook.events where topic in ({', '.join(map(repr, ENDINGS))})"
        await self.until(ended, jobs)
        completed = "select count(distinct stream_id) from rollbook.events where topic = 'job.completed'"
        assert await self.find(completed) == jobs
        assert await self.find("select count(*) from effects") == jobs

    async def last(self, job: UUID, topic: str, member: str) -> Any:
        """A member of the last event of a kind."""
        query = f"""select {PAYLOAD} ->> '{member}' from rollbook.events
                     where stream_id = 'job-{job}' and topic = '{topic}' order by version desc limit 1"""
        return await self.find(query)


@pytest.fixture
async def workshop(ground: Ground, tmp_path: Path) -> AsyncIterator[Workshop]:
    """A projector in this process, a database for effects, no worker yet."""
    await (await ground.start("project")).terminate()
    async with AsyncExitStack() as stack:
        app = await build(settings_for(tmp_path, data_dir=ground.folder), ground.postgres.app_url)
        stack.push_async_callback(app.close)
        stop = asyncio.Event()
        projecting = asyncio.create_task(app.projector().run(stop))

        async def end() -> None:
            stop.set()
            await asyncio.wait_for(projecting, 10)

        stack.push_async_callback(end)
        async with await psycopg.AsyncConnection.connect(ground.postgres.admin_url, autocommit=True) as admin:
            await admin.execute(TABLES)
        yield Workshop(ground, app)
        print((ground.folder / "rollbook.log").read_text()[-5000:])


async def test_a_job_whose_worker_is_killed_is_finished_by_another_once(workshop: Workshop) -> None:
    first = await workshop.hire()
    job = await workshop.ask(seconds=600)
    await workshop.until("select count(*) from tries", 1)
    await workshop.hire()
    await first.kill_all()
    await workshop.until_ended(1)
    assert await workshop.find("select array_agg(fence order by fence) from tries") == [1, 2]
    assert await workshop.last(job, "job.started", "attempt") == "2"


@pytest.mark.parametrize("undo", [0, 4])
async def test_a_worker_that_is_told_to_end_lets_another_have_its_job_once_it_is_undone(
    workshop: Workshop, undo: int
) -> None:
    first = await workshop.hire()
    job = await workshop.ask(seconds=600, undo=undo)
    await workshop.until("select count(*) from tries", 1)
    await workshop.hire()
    assert await first.terminate() == 0
    await workshop.until_ended(1)
    assert await workshop.last(job, "job.started", "attempt") == "1"
    assert await workshop.last(job, "job.worker_lost", "fence") is None


@pytest.mark.parametrize("place", ["after_job_start", "before_job_end", "after_job_end"])
async def test_a_worker_that_dies_at_a_named_place_leaves_no_job_behind(workshop: Workshop, place: str) -> None:
    first = await workshop.hire(failpoint=place)
    await workshop.ask()
    await first.wait_dead()
    await workshop.hire()
    await workshop.until_ended(1)


async def test_several_workers_compete_and_do_each_job_once(workshop: Workshop) -> None:
    for _ in range(3):
        await workshop.hire()
    for _ in range(100):
        await workshop.ask(seconds=0.1)
    await workshop.until_ended(100)
    assert await workshop.find("select count(*) from tries") == 100
    workers = f"select count(distinct {PAYLOAD} ->> 'worker') from rollbook.events where topic = 'job.started'"
    assert await workshop.find(workers) == 3


async def test_jobs_that_wait_in_a_nats_that_is_wiped_end_once_each(workshop: Workshop) -> None:
    worker = await workshop.hire()
    for _ in range(2):
        await workshop.ask(seconds=5)
    await workshop.until("select count(*) from tries", 2)
    for _ in range(40):
        await workshop.ask()
    await workshop.ground.wipe_nats()
    await workshop.ground.nats.start()
    await workshop.until_ended(42)
    assert await workshop.find("select count(*) from tries") == 42
    assert worker.process is not None
    assert worker.process.returncode is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_job_goes_on_while_the_database_is_away(workshop: Workshop, how: signal.Signals) -> None:
    """The effects' connection breaks too, which is what a retry mends."""
    await workshop.hire()
    job = await workshop.ask(seconds=4)
    await workshop.until("select count(*) from tries", 1)
    await workshop.ground.stop_postgres(how)
    await workshop.ground.postgres.start()
    await workshop.until_ended(1)
    assert await workshop.last(job, "job.completed", "result") is not None


async def test_workers_that_stood_still_for_long_lose_nothing(workshop: Workshop) -> None:
    worker = await workshop.hire()
    await workshop.ask(seconds=3)
    await workshop.until("select count(*) from tries", 1)
    assert worker.process is not None
    worker.process.send_signal(signal.SIGSTOP)
    await workshop.hire()
    await workshop.until("select count(*) from rollbook.events where topic = 'job.worker_lost'", 1)
    worker.process.send_signal(signal.SIGCONT)
    await workshop.until_ended(1)
