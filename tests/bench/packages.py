"""Packages beside pg_dump, COPY and row after row: packing, deploying with new keys, deploying again."""

import asyncio
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import OWNER
from tests.bench import packages_peers as peers
from tests.bench.ground import Database, Ground
from tests.bench.packages_ours import Ours
from tests.bench.packages_shop import TARGET, copied_out, filled, size, target
from tests.bench.report import Report, middle

DUMP, PIPE, COPY, SINGLE = "pg_dump -Fc", "pg_dump -Z0 | pg_restore", "bare COPY", "row by row, of a slice"
PACK, ZIP, DRY, DEPLOY, AGAIN = "ours: pack", "ours: zip", "ours: dry run", "ours: deploy", "ours: deploy again"
# What is held against what, and how often the one may take the time of the other.
BOUNDS = (
    ((PACK, ZIP), DUMP, 4.0),
    ((DEPLOY,), COPY, 2.0),
    ((DEPLOY,), SINGLE, 0.1),
    ((DEPLOY,), PIPE, 3.0),
    ((PACK, DEPLOY), PIPE, 3.0),
    ((AGAIN,), DEPLOY, 1 / 3),
    ((DRY,), DEPLOY, 1.0),
)


@dataclass
class Rounds:
    """Everybody in turn, each on a target that nobody wrote to yet."""

    ground: Ground
    source: Database
    ours: Ours
    files: dict[str, Path]
    rows: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    peaks: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    async def one(self) -> None:
        """Each once; what belongs together one right after the other."""
        file = self.ground.folder / "dump"
        await self.peer(DUMP, lambda: peers.dumped(self.source, file))
        await self.mine(PACK, self.ours.packed)
        await self.mine(ZIP, lambda: self.ours.zipped(file))
        async with target(self.ground, empty=True) as database:
            await self.peer(PIPE, lambda: peers.piped(self.source, database))
        async with target(self.ground):
            await self.mine(DRY, lambda: self.ours.deployed(dry_run=True))
        async with target(self.ground):
            await self.mine(DEPLOY, self.ours.deployed)
            await self.mine(AGAIN, self.ours.deployed, rested=False)
        async with target(self.ground) as database:
            await self.peer(COPY, lambda: peers.bare(self.files, database))
        async with target(self.ground) as database:
            await self.peer(SINGLE, lambda: peers.one_by_one(self.source, database, self.rows))

    async def peer(self, name: str, take: Callable[[], float], rested: bool = True) -> None:
        """A figure; `rested`, after the server has written down what others left it to write."""
        if rested:
            await self.ground.checkpoint()
        self.seconds[name].append(await asyncio.to_thread(take))

    async def mine(self, name: str, take: Callable[[], float], rested: bool = True) -> None:
        """A figure of ours, with the memory that it took."""
        with self.ours.watched(self.peaks[name]):
            await self.peer(name, take, rested)


async def run(ground: Ground, report: Report, options: Namespace) -> None:
    """So many rounds of all, and what they mean."""
    source, own = await filled(ground, options.rows), await ground.migrated("packages_own")
    files = await copied_out(source, ground.folder)
    report.begin(f"Packages of {options.rows:,} rows", "seconds", "median", "shortest", "longest", "rows/s")
    with Ours(ground, own, source, make_conninfo(ground.postgres.url(OWNER), dbname=TARGET)) as ours:
        rounds = Rounds(ground, source, ours, files, options.rows)
        for _ in range(options.package_rounds):
            await rounds.one()
    for name, seconds in rounds.seconds.items():
        report.row(name, middle(seconds), min(seconds), max(seconds), options.rows / middle(seconds))
    report.note(f"a row is {size(files, options.rows):.0f} bytes as COPY writes it; {options.package_rounds} rounds")
    tell_ratios(report, rounds)
    tell_memory(report, rounds)
    for database in (source, own):
        await ground.drop(database)


def tell_ratios(report: Report, rounds: Rounds) -> None:
    """How often ours takes the time of what a user would do instead, in the middle of the rounds."""
    report.begin("Packages beside what a user would do instead", "times the seconds of", "ratio", "at most", "")
    for ours, other, most in BOUNDS:
        together = zip(*(rounds.seconds[name] for name in ours), rounds.seconds[other], strict=True)
        ratio = middle([sum(mine) / theirs for *mine, theirs in together])
        label = " and ".join(name.removeprefix("ours: ") for name in ours) + f" / {other.removeprefix('ours: ')}"
        report.row(label, ratio, most, "holds" if ratio <= most else "MISSED")


def tell_memory(report: Report, rounds: Rounds) -> None:
    """The most that a process held in any round."""
    parts = list(next(iter(rounds.peaks.values())))
    report.begin("Memory of our processes, peak MB", "meanwhile", *parts)
    for name, peaks in rounds.peaks.items():
        report.row(name.removeprefix("ours: "), *(peaks[part] for part in parts))
