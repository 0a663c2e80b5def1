"""The command that decides a span of history again under other rules; it changes nothing, here or on any server."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.histories import BundleFile, Export, History, last_by
from entrypoints.cli.output import note, print_table
from entrypoints.cli.session import Session, command, filled, group, query

if TYPE_CHECKING:
    from application.rule_changes import RuleChanges
    from domain.reference import Ago, Moment, Position

commands = group()
HEADINGS = ("POSITION", "COMPONENT", "ENVIRONMENT", "VERSION", "DEPLOYMENT", "WAS", "WOULD BE", "RULE")
MEMBERS = ("position", "component", "environment", "version", "deployment_id", "was", "would_be", "rule")


@dataclass(frozen=True, slots=True)
class Given:
    """Which history, and which span of it."""

    history: History
    since: str | None
    until: str | None


@commands.command("replay")
@command
def replay(
    session: Session,
    rules: Annotated[Path, typer.Option(help="The file that says what is other: YAML or JSON.")],
    since: Annotated[
        str | None, typer.Option("--from", help="Where to begin: a position, a moment, -2h; of a server also NAME~3.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Where to end; the end of the history unless given.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="An export of the whole history up to there; without it a server is asked.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="What `rollbook bundle` wrote: its span is decided again.")
    ] = None,
) -> None:
    """Decide a span of history again under other rules: what would have been skipped, blocked or allowed.

    \b
    rollbook replay --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z --rules by-version.yaml
    rollbook replay --bundle incident.zip --rules by-version.yaml
    """
    from domain.errors import RollbookError

    changes = read(rules)
    if events and bundle:
        raise misuse("Give one of --events and --bundle")
    file = Export(events) if events else BundleFile(bundle) if bundle else None
    with history(session, file, since, until) as given:
        try:
            found = decided(given, changes)
        except RollbookError as refusal:
            raise Failure(refusal.message, Exit.USAGE, refusal.code) from None
    session.answer(found, tell)


def read(path: Path) -> "RuleChanges":
    """The rules that are tried."""
    from adapters.rule_file import read_rules

    try:
        return read_rules(path)
    except ValueError as fault:
        raise misuse(str(fault)) from None


@contextmanager
def history(session: Session, file: History | None, since: str | None, until: str | None) -> Iterator[Given]:
    """The file that was given, or what a server exports, which is forgotten afterwards."""
    from tempfile import TemporaryDirectory

    if file is not None:
        yield Given(file, since, until)
        return
    with TemporaryDirectory(prefix="rollbook-replay-") as folder:
        yield fetched(session, since, until, Path(folder) / "events.ndjson")


def fetched(session: Session, since: str | None, until: str | None, file: Path) -> Given:
    """The history up to the end of the span, with ends that mean the same there as on the server."""
    from entrypoints.cli.audit_export import EXPORTS, Target, take_out

    if since is not None and not since.isdecimal():
        since = str(position_of(session, since) + 1)
    target = Target(file)
    target.begin(session.api.send("POST", EXPORTS, filled(to=until)).body)
    asked = take_out(session, target)
    return Given(Export(file), since, str(asked["to_position"]))


def position_of(session: Session, since: str) -> int:
    """The position that the beginning of the span means to the server; refused by the name of its option."""
    try:
        return int(session.api.get("/v1/at", query(ref=since)).body["position"])
    except Failure as failure:
        failure.message = re.sub("^ref ", "from ", failure.message)
        raise


def decided(given: Given, changes: "RuleChanges") -> dict[str, Any]:
    """The differences between the two ends, both of them within."""
    from domain.errors import Invalid
    from domain.reference import LAST_POSITION, Position

    begin, finish = reference(given.since, "from"), reference(given.until, "to")
    earliest, latest = given.history.span()
    first = begin.number if isinstance(begin, Position) else last_by(given.history, begin) + 1 if begin else earliest
    last = finish.number if isinstance(finish, Position) else last_by(given.history, finish) if finish else latest
    if latest is not None and not earliest <= first <= (last or 0) + 1 <= latest + 1:
        raise Invalid(f"The bundle holds positions {earliest} to {latest}, not {first} to {last}")
    found = given.history.decide(changes, first, LAST_POSITION if last is None else last)
    return {"from": first, "to": last, "differences": [asdict(one) for one in found]}


def reference(text: str | None, called: str) -> "Position | Moment | Ago | None":
    """What an end of the span says; names mean nothing in a file."""
    from domain.errors import Invalid
    from domain.reference import Changes, parse

    if text is None:
        return None
    found = parse(text, called)
    if found.name is not None or isinstance(found.when, Changes):
        raise Invalid(f"--{called} must be a position, a moment or an age such as -2h")
    return found.when


def tell(found: dict[str, Any]) -> None:
    """Prints a row a difference."""
    rows = [[str(one[member]) for member in MEMBERS] for one in found["differences"]]
    print_table(HEADINGS, rows)
    note(f"{len(rows)} decisions would have been otherwise" if rows else "Nothing would have been otherwise")
