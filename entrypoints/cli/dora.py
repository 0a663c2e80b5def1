"""The command for the DORA figures of a period: a table with a sparkline for each."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from entrypoints.cli.fields import AsOf
from entrypoints.cli.output import moment, note, print_table, word
from entrypoints.cli.session import Session, command, group, query
from entrypoints.cli.sparklines import sparkline

PATH = "/v1/metrics/dora"
HEADINGS = ("FIGURE", "VALUE", "OF", "TREND")
TREND = 30
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
POINT = "TIME|POSITION|-30d"

commands = group()


class Interval(StrEnum):
    """How the period is divided."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


Component = Annotated[str | None, typer.Option("--component", "--name", help="One component only.")]
Environment = Annotated[str | None, typer.Option("--environment", "--env", help="One environment only.")]
Team = Annotated[str | None, typer.Option(help="The components of one team only; see `rollbook teams`.")]
Begin = Annotated[str | None, typer.Option("--from", metavar=POINT, help="Since when; else for 30 days.")]
End = Annotated[str | None, typer.Option("--to", metavar=POINT, help="Until when; else until now, or --as-of.")]
Every = Annotated[Interval, typer.Option(help="What each block of a trend stands for.")]
Zone = Annotated[str, typer.Option(help="Whose days, weeks and months, like Europe/Berlin.")]


@commands.command("dora")
@command
def dora(
    session: Session,
    environment: Environment = None,
    component: Component = None,
    team: Team = None,
    begin: Begin = None,
    to: End = None,
    interval: Every = Interval.DAY,
    time_zone: Zone = "UTC",
    as_of: AsOf = None,
) -> None:
    """Show how often, how fast and how well deployments go live: the DORA figures, as known now or then.

    Example: rollbook dora --environment production --team web --from -90d --interval week
    """
    asked = query(environment=environment, component=component, team=team, to=to, as_of=as_of)
    asked += query(interval=interval.value, time_zone=time_zone) + ([("from", begin)] if begin is not None else [])
    session.answer(session.api.get(PATH, asked).body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints a row a figure, and above them what they are figures of."""
    scope = [word(body[name]) for name in ("component", "environment", "team") if body[name]]
    when = f"{moment(body['from'])} to {moment(body['to'])}, by {body['interval']} of {body['time_zone']}"
    print_table(HEADINGS, [one(body["totals"], body["series"][-TREND:]) for one in ROWS])
    note(" ".join((*scope, when)))
    if len(body["series"]) > TREND:
        note(f"The trend shows the last {TREND} of {len(body['series'])}")


Telling = Callable[[Any], tuple[float | None, str, str]]
Row = Callable[[Any, list[Any]], list[str]]


def row(name: str, told: Telling) -> Row:
    """How a figure becomes a row: its value, of what, and the values of the parts."""

    def of(totals: Any, series: list[Any]) -> list[str]:
        _, value, of_what = told(totals)
        return [name, value, of_what, sparkline([told(part)[0] for part in series])]

    return of


def frequency(figures: Any) -> tuple[float | None, str, str]:
    """So many a day, and the band."""
    told = figures["deployment_frequency"]
    band = f" ({told['band']})" if told["band"] else ""
    return told["per_day"], f"{told['per_day']:.2f}{band}", f"{told['deployments']} in {length(told['days'] * 86_400)}"


def lead(which: str) -> Telling:
    """From commit to live."""

    def told(figures: Any) -> tuple[float | None, str, str]:
        found = figures["lead_time"]
        return found[which], length(found[which]), f"{found['measured']} of {found['changes']} changes"

    return told


def rate(figure: str, some: str) -> Telling:
    """So many of so many."""

    def told(figures: Any) -> tuple[float | None, str, str]:
        found = figures[figure]
        share = "" if found["rate"] is None else f"{found['rate']:.1%}"
        return found["rate"], share, f"{found[some]} of {found['deployments']}"

    return told


def restoring(figure: str) -> Telling:
    """How long incidents lasted."""

    def told(figures: Any) -> tuple[float | None, str, str]:
        found = figures[figure]
        of_what = f"{found['resolved']} of {found['incidents']} incidents"
        return found["median_seconds"], length(found["median_seconds"]), of_what

    return told


def length(seconds: float | None) -> str:
    """A duration in its largest unit and, where there is some of it, the next one."""
    if seconds is None:
        return ""
    left = round(seconds)
    first = next((n for n, (size, _) in enumerate(UNITS) if left >= size), len(UNITS) - 1)
    parts = []
    for size, unit in UNITS[first : first + 2]:
        parts.append((left // size, unit))
        left %= size
    return " ".join(f"{count} {unit}" for n, (count, unit) in enumerate(parts) if count or n == 0)


ROWS = (
    row("deployments/day", frequency),
    row("lead time", lead("median_seconds")),
    row("lead time (90%)", lead("p90_seconds")),
    row("change failures", rate("change_failure_rate", "failed")),
    row("time to restore", restoring("time_to_restore")),
    row("recovery time", restoring("failed_deployment_recovery_time")),
    row("rework", rate("rework_rate", "rework")),
)
