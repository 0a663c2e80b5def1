"""The command that decides a span of history again under other rules; it changes nothing, here or on any server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.output import note, print_table
from entrypoints.cli.session import Session, command, filled, group, query

if TYPE_CHECKING:
    from datetime import datetime

    from application.rule_changes import RuleChanges
    from domain.reference import Ago, Moment, Position

commands = group()
HEADINGS = ("POSITION", "COMPONENT", "ENVIRONMENT", "VERSION", "DEPLOYMENT", "WAS", "WOULD BE", "RULE")
MEMBERS = ("position", "component", "environment", "version", "deployment_id", "was", "would_be", "rule")


@dataclass(frozen=True, slots=True)
class Given:
    """Which history, and which span of it."""

    events: Path | None
    since: str | None
    until: str | None

    @property
    def file(self) -> Path:
        """Where the history is."""
        assert self.events is not None
        return self.events


@commands.command("replay")
@command
def replay(
    session: Session,
    rules: Annotated[Path, typer.Option(help="The file that says what is other: YAML or JSON.")],
    since: Annotated[str | None, typer.Option("--from", help="Where to begin: a position, a moment, -2h.")] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Where to end; the end of the history unless given.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="An export of the whole history up to there; without it a server is asked.")
    ] = None,
) -> None:
    """Decide a span of history again under other rules: what would have been skipped, blocked or allowed.

    rollbook replay --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z --rules by-version.yaml
    """
    from domain.errors import RollbookError

    changes = read(rules)
    with history(session, Given(events, since, until)) as given:
        try:
            found = decided(given.file, changes, given.since, given.until)
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
def history(session: Session, given: Given) -> Iterator[Given]:
    """The file that was given, or what a server exports, which is forgotten afterwards."""
    from tempfile import TemporaryDirectory

    if given.events is not None:
        yield given
        return
    with TemporaryDirectory(prefix="rollbook-replay-") as folder:
        yield fetched(session, given, Path(folder) / "events.ndjson")


def fetched(session: Session, given: Given, file: Path) -> Given:
    """The history up to the end of the span, with ends that mean the same there as on the server."""
    from entrypoints.cli.audit_export import EXPORTS, Target, take_out

    since = given.since
    if since is not None and not since.isdecimal():
        headers = session.api.get("/v1/lanes", query(limit=0, as_of=since)).headers
        since = str(int(headers["x-rollbook-as-of"]) + 1)
    target = Target(file)
    target.begin(session.api.send("POST", EXPORTS, filled(to=given.until)).body)
    asked = take_out(session, target)
    return Given(file, since, str(asked["to_position"]))


def decided(file: Path, changes: "RuleChanges", since: str | None, until: str | None) -> dict[str, Any]:
    """The differences between the two ends, both of them within."""
    from adapters.exported_events import told
    from application.redeciding import redecide
    from domain.reference import LAST_POSITION, Position

    begin, finish = reference(since, "from"), reference(until, "to")
    first = begin.number if isinstance(begin, Position) else last_by(file, begin) + 1 if begin else 1
    last = finish.number if isinstance(finish, Position) else last_by(file, finish) if finish else LAST_POSITION
    with lines(file) as given:
        found = [asdict(one) for one in redecide(changes, told(given), first, last)]
    return {"from": first, "to": last if until else None, "differences": found}


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


def last_by(file: Path, when: "Moment | Ago") -> int:
    """The position of the last event that was there then; so long ago is before the last event of the history."""
    from domain.reference import Moment

    if isinstance(when, Moment):
        return max((position for position, at in moments(file) if at <= when.at), default=0)
    latest = max((at for _, at in moments(file)), default=None)
    return max((position for position, at in moments(file) if latest and at <= latest - when.length), default=0)


def moments(file: Path) -> "Iterator[tuple[int, datetime]]":
    """When each event was recorded."""
    from adapters.exported_events import numbered

    with lines(file) as given:
        for _, event in numbered(given):
            yield event.position, event.recorded_at


@contextmanager
def lines(file: Path) -> Iterator[Any]:
    """The lines of a file; a Failure where it cannot be read."""
    try:
        with file.open("rb") as opened:
            yield opened
    except OSError as fault:
        raise misuse(f"{file} cannot be read: {fault.strerror}") from None


def tell(found: dict[str, Any]) -> None:
    """Prints a row a difference."""
    rows = [[str(one[member]) for member in MEMBERS] for one in found["differences"]]
    print_table(HEADINGS, rows)
    note(f"{len(rows)} decisions would have been otherwise" if rows else "Nothing would have been otherwise")
