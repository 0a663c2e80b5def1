"""Jobs that do nothing, beside procrastinate on the same Postgres: one worker process each, in turn."""

import asyncio
import os
import signal
import subprocess
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, perf_counter, time
from typing import Any

import psycopg
from procrastinate import App

from adapters.embedded.process import free_port
from adapters.nats.job_queue import JetStreamJobs
from adapters.settings import Settings
from application.jobs import RequestJob, request_job
from entrypoints.composition import Rollbook, build
from entrypoints.workers.acting import circumstances
from entrypoints.workers.dispatching import Dispatcher
from tests.bench.ground import Database, Ground
from tests.bench.job_workers import LATE, peer
from tests.bench.report import Report, middle, percentile

CONCURRENCIES = (10, 50)
TOGETHER = 500
JOBS = 1500
SINGLE = 200
PAUSE_SECONDS = 0.025
SAME_SECOND = 10_000
WAITING = 1000
GIVE_UP_SECONDS = 300.0
OURS_DONE = "select count(*) from rollbook.events where topic = 'job.completed'"
THEIRS_DONE = "select count(*) from procrastinate_jobs where status = 'succeeded'"
STARTED = """
select convert_from(payload, 'utf8')::json ->> 'priority',
       (select min(s.position) from rollbook.events s where s.stream_id = r.stream_id and s.topic = 'job.started')
  from rollbook.events r where topic = 'job.requested' and position > %s
"""
LAST_START = "select max(recorded_at) from rollbook.events where topic = 'job.started'"


@dataclass
class Side:
    """One of the two: its worker, how a job is asked for, and how many are done."""

    name: str
    database: Database
    command: list[str]
    environment: dict[str, str]
    done: str
    ask: Callable[..., Awaitable[Any]]
    late: Path
    worker: subprocess.Popen[bytes] | None = None
    rates: list[float] = field(default_factory=list)

    def hire(self) -> None:
        """Starts the worker."""
        environment = {"PATH": os.environ["PATH"], LATE: str(self.late), **self.environment}
        self.worker = subprocess.Popen(self.command, env=environment)

    def dismiss(self) -> None:
        """Ends it."""
        if self.worker is not None:
            self.worker.terminate()
            self.worker.wait(30)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The worker stands still meanwhile."""
        assert self.worker is not None
        self.worker.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.worker.send_signal(signal.SIGCONT)

    async def count(self) -> int:
        """Jobs that are done."""
        return int(await ask(self.database, self.done))

    async def until_done(self, number: int, pause: float = 0.05) -> None:
        """Until that many are done altogether; to count often what is much would cost more than the jobs."""
        until = monotonic() + GIVE_UP_SECONDS
        while await self.count() < number:
            if monotonic() > until:
                raise RuntimeError(f"{self.name} does not get on")
            await asyncio.sleep(pause)

    async def rate(self) -> float:
        """Jobs a second of a worker that finds them all waiting."""
        before = await self.count()
        with self.held():
            await self.enqueue(JOBS)
            await asyncio.sleep(0.5)
        started = perf_counter()
        await self.until_done(before + JOBS)
        return JOBS / (perf_counter() - started)

    async def enqueue(self, number: int, **facts: Any) -> None:
        """Asks for jobs, many at a time."""
        for first in range(0, number, TOGETHER):
            await asyncio.gather(*(self.ask(**facts) for _ in range(min(TOGETHER, number - first))))

    async def lateness(self) -> list[float]:
        """Milliseconds between the wish and the start of single jobs, where the worker is idle."""
        self.late.write_text("")
        before = await self.count()
        for _ in range(SINGLE):
            await self.ask(at=time())
            await asyncio.sleep(PAUSE_SECONDS)
        await self.until_done(before + SINGLE)
        return [float(line) * 1000 for line in self.late.read_text().split()]


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """Throughput and latency of both in turn, then what only ours is asked for."""
    for concurrency in CONCURRENCIES:
        async with both(ground, concurrency) as sides:
            for side in sides:
                await side.rate()
            for _ in range(options.rounds):
                for side in sides:
                    side.rates.append(await side.rate())
            compare(report, concurrency, *(middle(side.rates) for side in sides))
    async with both(ground, CONCURRENCIES[-1]) as sides:
        await tell_lateness(report, sides)
        await tell_urgent(report, sides[0])
        await tell_same_second(report, sides[0])


def compare(report: Report, concurrency: int, ours: float, theirs: float) -> None:
    """One line of the throughput."""
    if concurrency == CONCURRENCIES[0]:
        report.begin("Jobs that do nothing, one worker process", "jobs at a time", "jobs/s", "procrastinate", "ratio")
    report.row(f"{concurrency}", ours, theirs, ours / theirs)


async def tell_lateness(report: Report, sides: list[Side]) -> None:
    """How soon single jobs start."""
    report.begin("From the wish to the start of a job", "worker", "jobs", "p50 ms", "p99 ms")
    found: dict[str, list[float]] = defaultdict(list)
    for side in sides:
        found[side.name] += await side.lateness()
    for name, late in found.items():
        report.row(name, len(late), percentile(late, 0.5), percentile(late, 0.99))


async def tell_same_second(report: Report, side: Side) -> None:
    """All of them are due at once."""
    report.begin("Jobs due in the same second", "jobs", "last start s")
    before, due_at = await side.count(), datetime.now(UTC) + timedelta(seconds=45)
    await side.enqueue(SAME_SECOND, due_at=due_at)
    late = (datetime.now(UTC) - due_at).total_seconds()
    await side.until_done(before + SAME_SECOND, pause=2)
    last: datetime = await ask(side.database, LAST_START)
    report.row(f"{SAME_SECOND:,}", (last - due_at).total_seconds())
    if late > 0:
        report.note(f"they were asked for {late:.0f} s too late, which is in the figure")


async def tell_urgent(report: Report, side: Side) -> None:
    """One that is urgent comes behind a thousand that wait."""
    report.begin("An urgent job behind others that wait", "waiting", "started before it")
    before, head = await side.count(), await ask(side.database, "select max(position) from rollbook.events")
    with side.held():
        await side.enqueue(WAITING)
        await side.ask(priority=9)
        await asyncio.sleep(0.5)
    await side.until_done(before + WAITING + 1, pause=0.5)
    async with await psycopg.AsyncConnection.connect(side.database.admin_url) as admin:
        starts = await (await admin.execute(STARTED.encode(), [head])).fetchall()
    urgent = next(start for priority, start in starts if priority == "9")
    report.row(f"{WAITING:,}", sum(start < urgent for _, start in starts))


@asynccontextmanager
async def both(ground: Ground, concurrency: int) -> Any:
    """Both with an idle worker; ours has the projector and what offers jobs in this process, as `serve` has."""
    mine, other = await ground.migrated(f"jobs_{concurrency}"), await ground.database(f"peer_{concurrency}")
    settings = settings_of(ground, mine, concurrency)
    app = await build(Settings(**settings_for(settings)), mine.app_url)
    stop, theirs = asyncio.Event(), peer(other.owner_url)
    offering = Dispatcher(app, JetStreamJobs(ground.broker.url), sweeps=False)
    tasks = [asyncio.create_task(app.projector().run(stop)), asyncio.create_task(offering.run(stop))]
    sides = [side_of_ours(ground, mine, app, settings), side_of_theirs(ground, other, theirs, concurrency)]
    async with theirs.open_async():
        await theirs.schema_manager.apply_schema_async()
        try:
            for side in sides:
                side.hire()
                await side.enqueue(1)
                await side.until_done(1)
            yield sides
        finally:
            for side in sides:
                side.dismiss()
            stop.set()
            await asyncio.gather(*tasks)
            await app.close()
    for database in (mine, other):
        await ground.drop(database)


def settings_of(ground: Ground, database: Database, concurrency: int) -> dict[str, str]:
    """The settings of our worker."""
    return {
        "DATABASE_URL": database.app_url,
        "NATS_URL": ground.broker.url,
        "DATA_DIR": str(ground.folder / f"home-{database.name}"),
        "MANAGEMENT_PORT": str(free_port()),
        "WORKER_CONCURRENCY": str(concurrency),
        "LOG_LEVEL": "error",
    }


def settings_for(environment: dict[str, str]) -> dict[str, Any]:
    """The same settings for a process that is here already."""
    return {**{name.lower(): value for name, value in environment.items()}, "_env_file": None}


def side_of_ours(ground: Ground, database: Database, app: Rollbook, settings: dict[str, str]) -> Side:
    """Rollbook."""

    async def ask_us(at: float | None = None, **facts: Any) -> None:
        arguments = {} if at is None else {"at": at}
        command = RequestJob("NOTHING", arguments, "nothing", 60, 3, **facts)
        await app.executor.execute("acme", await circumstances(app, "acme", "bench"), request_job, command)

    command = [sys.executable, "-m", "tests.bench.job_workers", "ours"]
    return Side("rollbook", database, command, settings, OURS_DONE, ask_us, ground.folder / f"late-{database.name}")


def side_of_theirs(ground: Ground, database: Database, app: App, concurrency: int) -> Side:
    """Procrastinate."""

    async def ask_them(**facts: Any) -> None:
        await app.configure_task("nothing", queue="nothing").defer_async(**facts)

    command = [sys.executable, "-m", "tests.bench.job_workers", "theirs", database.owner_url, str(concurrency)]
    late = ground.folder / f"late-{database.name}"
    return Side("procrastinate", database, command, {}, THEIRS_DONE, ask_them, late)


async def ask(database: Database, query: str) -> Any:
    """The one value that a query answers."""
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        row = await (await admin.execute(query.encode())).fetchone()
    return row[0] if row else None
