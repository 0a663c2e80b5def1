"""The command that keeps looking: a live table at a terminal, a line for each change in a pipe."""

import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from entrypoints.cli.deployments import HEADINGS, PATH, filters, row_of
from entrypoints.cli.failures import Exit, Failure, sentence
from entrypoints.cli.fields import (
    Account,
    Cell,
    Cloud,
    Environment,
    Name,
    NoCell,
    Region,
    Statuses,
    Triggers,
)
from entrypoints.cli.output import note, print_json_line, safe, table
from entrypoints.cli.session import Session, command, group

commands = group()

Interval = Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between two looks.")]
Duration = Annotated[
    float,
    typer.Option("--for", min=0, max=7 * 86400, help="Seconds until it ends by itself."),
]
Looks = Annotated[int | None, typer.Option("--count", min=1, help="End after this many looks.")]
Look = list[dict[str, Any]] | Failure


@commands.command("watch")
@command
def watch(
    session: Session,
    status: Statuses = None,
    name: Name = None,
    environment: Environment = None,
    provider: Cloud = None,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
    no_cell: NoCell = False,
    trigger: Triggers = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest.")] = 20,
    interval: Interval = 2.0,
    duration: Duration = 3600.0,
    count: Looks = None,
) -> None:
    """Watch deployments until Ctrl-C, the time or the count is up; an outage of the server is waited out.

    In a pipe each deployment is one line whenever it is new or has changed, with --json an object.
    """
    where = filters(status, name, environment, provider, account, region, cell, no_cell, trigger)
    looks = look_again(session, [*where, ("limit", str(limit))], interval, duration)
    looks = islice(looks, count)
    live = sys.stdout.isatty() and not session.as_json
    last = draw(looks) if live else report_changes(looks, session.as_json)
    if isinstance(last, Failure):
        raise last


def look_again(session: Session, where: list[tuple[str, str]], interval: float, duration: float) -> Iterator[Look]:
    """The newest deployments at every interval, at least once, until the duration is over."""
    end = time.monotonic() + duration
    while True:
        yield look(session, where)
        if time.monotonic() + interval > end:
            return
        time.sleep(interval)


def look(session: Session, where: list[tuple[str, str]]) -> Look:
    """One look; an unavailable server is an answer too, whatever else goes wrong ends the command."""
    try:
        return session.api.get(PATH, where).rows
    except Failure as failure:
        if failure.exit_code is not Exit.UNAVAILABLE:
            raise
        return failure


def draw(looks: Iterator[Look]) -> Look:
    """Keeps a table up to date in place; answers the last look."""
    from rich.live import Live

    rows: list[list[str]] = []
    last: Look = []
    with Live(auto_refresh=False) as live:
        for last in looks:
            caption = sentence(last) if isinstance(last, Failure) else time.strftime("%H:%M:%SZ", time.gmtime())
            rows = rows if isinstance(last, Failure) else [row_of(d) for d in last]
            live.update(table(HEADINGS, rows, caption), refresh=True)
    return last


def report_changes(looks: Iterator[Look], as_json: bool) -> Look:
    """Prints what is new or has changed since the look before; answers the last look."""
    known: dict[str, dict[str, Any]] = {}
    last: Look = []
    for last in looks:
        if isinstance(last, Failure):
            note(safe(sentence(last)))
            continue
        for deployment in reversed(last):
            if known.get(deployment["id"]) != deployment:
                print_change(deployment, as_json)
        known = {d["id"]: d for d in last}
    return last


def print_change(deployment: dict[str, Any], as_json: bool) -> None:
    """One deployment on one line."""
    if as_json:
        print_json_line(deployment)
    else:
        print("  ".join(safe(cell) or "-" for cell in row_of(deployment)), flush=True)
