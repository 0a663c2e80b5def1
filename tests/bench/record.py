"""Asking the record at a random moment of a long past, beside folding the log up to that moment."""

import asyncio
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import httpx2
import psycopg

from adapters.checkpoint_key import checkpoint_key_of
from adapters.postgres.log import COLUMNS
from adapters.postgres.pools import Pools
from adapters.postgres.sealing import Sealer
from domain.recorded import RecordedEvent
from projections.registry import DEPLOYMENTS, FREEZES, LANES
from tests.bench.ground import Database, Ground
from tests.bench.http import head
from tests.bench.rebuild import rebuilt
from tests.bench.report import Report, middle, percentile
from tests.bench.servers import Measured, ours, rows_of

LANES_OF_FLEET = 1000
QUESTIONS = 60
PAGE = 10_000
UP_TO = f"select {COLUMNS} from rollbook.events where position > %s and position <= %s order by position limit %s"
LIVE = """
select stream_id from rollbook.events where topic = 'deployment.deployed' and position > %s order by position limit 1
"""
Ask = Callable[[Random], str]


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """The read models are rebuilt first; the API runs alone, since nothing is written meanwhile."""
    database = await ground.history(options.events, LANES_OF_FLEET)
    await asyncio.to_thread(rebuilt, database.app_url)
    await ground.settle(database)
    server, last = await asyncio.to_thread(ours, ground, database, "serve"), await head(database)
    deployments = await some_deployments(database, last)
    questions: dict[str, tuple[Ask, int]] = {
        "fleet as of a moment": (lambda dice: f"/v1/fleet?as_of={dice.randint(1, last)}", 1),
        "fleet valid then, as of later": (lambda dice: believed(*sorted(dice.choices(range(1, last), k=2))), 1),
        "diff of two moments": (lambda dice: diff(*sorted(dice.choices(range(1, last), k=2))), 2),
        "diff of an hour's work": (lambda dice: diff(start := dice.randint(1, last - 2000), start + 2000), 2),
        "why is it live": (lambda dice: f"/v1/deployments/{dice.choice(deployments)}/why", 1),
    }
    try:
        columns = ("p50 ms", "p95 ms", "p99 ms", "KiB", "fold s", "fold/p50")
        report.begin(f"The record of {last:,} events, {LANES_OF_FLEET:,} lanes", "what", *columns)
        for title, question in questions.items():
            await asyncio.to_thread(compare, report, database, server, title, question, (last, options.rounds))
    finally:
        server.stop()
    await verify(ground, report, database, options)


def believed(then: int, known: int) -> str:
    """The question for what was live at the moment of one position, by what was known at another."""
    return f"/v1/fleet?valid_at={then}&as_of={known}"


def diff(first: int, second: int) -> str:
    """The question for what changed between two positions."""
    return f"/v1/fleet/diff?from={first}&to={second}"


async def some_deployments(database: Database, last: int) -> list[str]:
    """Deployments that went live, from everywhere in the past."""
    found = [await rows_of(database.admin_url, LIVE % (last * n // QUESTIONS)) for n in range(QUESTIONS)]
    return [str(rows[0][0]).removeprefix("deployment-") for rows in found if rows]


def compare(
    report: Report,
    database: Database,
    server: Measured,
    title: str,
    question: tuple[Ask, int],
    extent: tuple[int, int],
) -> None:
    """One question at random moments; in each round the log is folded up to a random moment too, as often as needed."""
    (ask, folds), (last, rounds), dice = question, extent, Random(title)
    took, sizes, folded = [], [], []
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=120) as client:
        for _ in range(rounds):
            for _ in range(QUESTIONS):
                seconds, size = asked(client, ask(dice))
                took.append(seconds * 1000)
                sizes.append(size)
            folded.append(sum(fold(database.admin_url, dice.randint(1, last)) for _ in range(folds)))
    p50, p95, p99 = (percentile(took, share) for share in (0.5, 0.95, 0.99))
    report.row(title, p50, p95, p99, middle(sizes) / 1024, middle(folded), middle(folded) * 1000 / p50)


def asked(client: httpx2.Client, path: str) -> tuple[float, float]:
    """How long an answer took, in seconds, and how many bytes it has."""
    started = perf_counter()
    answer = client.get(path)
    took = perf_counter() - started
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:200]}")
    return took, float(len(answer.content))


def fold(url: str, up_to: int) -> float:
    """How long the naive way takes: every event up to a position, folded into the same rows."""
    started, rows, position = perf_counter(), dict[tuple[str, str], Any](), 0
    with psycopg.connect(url, autocommit=True) as connection:
        while page := connection.execute(UP_TO.encode(), [position, up_to, PAGE], binary=True).fetchall():
            for event in (RecordedEvent(*one) for one in page):
                apply(event, rows)
            position = page[-1][0]
    return perf_counter() - started


def apply(event: RecordedEvent, rows: dict[tuple[str, str], Any]) -> None:
    """Changes the rows that an event is about."""
    for model in (LANES, DEPLOYMENTS, FREEZES):
        if (key := model.key(event)) is not None:
            rows[model.name, key] = model.fold(rows.get((model.name, key)), event, event.data)


async def seal(database: Database, folder: Path) -> int:
    """Seals all of the log, as the product would have done meanwhile; answers in how many checkpoints."""
    pools, key, made = Pools.of(database.app_url, 2), checkpoint_key_of(None, folder), 0
    await pools.open()
    try:
        sealer = Sealer(pools, key.sign, key.public)
        while await sealer.seal():
            made += 1
    finally:
        await pools.close()
    return made


async def verify(ground: Ground, report: Report, database: Database, options: Namespace) -> None:
    """The verifier over the whole database, as an auditor runs it."""
    last, sealed = await head(database), await seal(database, ground.folder)
    report.begin(f"Verifying {last:,} events, {sealed:,} checkpoints", "what", "s", "events/s", "exit code")
    command = [str(Path(sys.executable).parent / "rollbook-verify"), database.admin_url]
    for _ in range(min(options.rounds, 3)):
        started = perf_counter()
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=600)
        took = perf_counter() - started
        report.row("rollbook-verify, a database", took, last / took, done.returncode)
