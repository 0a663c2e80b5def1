"""Measures Rollbook beside what a team would use instead: interleaved rounds, medians and ratios."""

import argparse
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.bench import append, feed, http, jobs, lanes, latency, packages, past, rebuild, record
from tests.bench.ground import Ground
from tests.bench.report import Report

Part = Callable[[Ground, Report, argparse.Namespace], Awaitable[None]]
PARTS: dict[str, Part] = {
    "http": http.run,
    "past": past.run,
    "record": record.run,
    "latency": latency.run,
    "rebuild": rebuild.run,
    "append": append.run,
    "lanes": lanes.run,
    "jobs": jobs.run,
    "feed": feed.run,
    "packages": packages.run,
}


async def main(options: argparse.Namespace) -> None:
    """Every part that was asked for, one after the other, on the same servers."""
    report = Report(options.result)
    async with Ground() as ground:
        for name in options.parts or PARTS:
            await PARTS[name](ground, report, options)
            await ground.settle()
    report.say(f"\nload average at the end {os.getloadavg()[0]:.1f}")


def part(name: str) -> str:
    """One of those that there are."""
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"there is no part {name!r}")
    return name


def asked() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", type=part, help=f"of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds a row")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one round")
    parser.add_argument("--events", type=int, default=1_000_000, help="length of the long history")
    parser.add_argument("--rows", type=int, default=1_000_000, help="length of the packages")
    parser.add_argument("--package-rounds", type=int, default=3, help="interleaved rounds of packages")
    parser.add_argument("--result", type=Path, help="a file to write the figures to, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(asked()))
