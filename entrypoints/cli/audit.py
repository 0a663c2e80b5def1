"""Commands for who audits: search the record, take it out, have what was sealed, verify."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from entrypoints.cli.audit_export import EXPORTS, Target, take_out
from entrypoints.cli.failures import misuse
from entrypoints.cli.output import moment, note, print_json_line, print_table, safe, word
from entrypoints.cli.session import Session, command, filled, group, query

EVENTS, CHECKPOINTS = "/v1/audit/events", "/v1/audit/checkpoints"
HEADINGS = ("POSITION", "RECORDED", "WHO", "TOPIC", "WHAT")
OF_EXPORTS = ("ID", "KIND", "BEHIND", "UP TO", "FILTERS", "BY", "AT")
TOGETHER = 1000

commands = group()
audit = group()
commands.add_typer(audit, name="audit", help="What happened, exactly as it is on record, and the proof of it.")

Actor = Annotated[str | None, typer.Option(help="Who: a login or a pseudonym.")]
Topic = Annotated[str | None, typer.Option(help="A kind of event (deployment.skipped), or a thing's (deployment).")]
Lane = Annotated[str | None, typer.Option(help="A lane's id, or its name.")]
Environment = Annotated[str | None, typer.Option(help="Where.")]
Stream = Annotated[str | None, typer.Option(help="One thing's own events: deployment-ID, package-ID ...")]
Text = Annotated[str | None, typer.Option(help="Stands in the event or its words.")]
Since = Annotated[str, typer.Option("--from", help="Behind this time, position (412), -15m or NAME~3.")]
To = Annotated[str | None, typer.Option(help="Up to this one; now, where it is left out.")]


@audit.callback()
def record() -> None:
    """What happened, exactly as it is on record, and the proof of it. Needs an admin, or a scope of audit.read."""


@audit.command("events")
@command
def events(
    session: Session,
    actor: Actor = None,
    topic: Topic = None,
    lane: Lane = None,
    environment: Environment = None,
    stream: Stream = None,
    text: Text = None,
    since: Since = "0",
    to: To = None,
    order: Annotated[Literal["newest", "oldest"], typer.Option(help="Which come first.")] = "newest",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
) -> None:
    """Search the record: rollbook audit events --actor ann --from -1h --environment production"""
    filters = filled(actor=actor, topic=topic, lane=lane, environment=environment, stream=stream, text=text)
    found = search(session, query(**filters, **{"from": since}, to=to, order=order), limit)
    session.answer(found, lambda rows: print_table(HEADINGS, [row_of(one) for one in rows]))


def search(session: Session, asked: list[tuple[str, str]], limit: int) -> list[dict[str, Any]]:
    """Page after page, as a page may end before anything is found."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < limit:
        page = query(limit=min(limit - len(found), TOGETHER), cursor=cursor)
        body = session.api.get(EVENTS, [*asked, *page]).body
        found += body["events"]
        cursor = body["cursor"]
        if cursor is None:
            break
    return found


def row_of(one: dict[str, Any]) -> list[str]:
    """An event as a row under HEADINGS."""
    who = word(one["actor"]["login"])
    return [word(one["position"]), moment(one["recorded_at"]), who, word(one["topic"]), word(one["summary"])]


@audit.command("export")
@command
def export(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to: NDJSON, an event a line.")],
    actor: Actor = None,
    topic: Topic = None,
    lane: Lane = None,
    environment: Environment = None,
    stream: Stream = None,
    text: Text = None,
    since: Since = "0",
    to: To = None,
    resume: Annotated[bool, typer.Option(help="Go on with what was begun and cut off.")] = False,
) -> None:
    """Take the record out, exact to the byte. That you did is on record. With --resume it goes on where it ended."""
    filters = filled(actor=actor, topic=topic, lane=lane, environment=environment, stream=stream, text=text)
    target = Target(file)
    if resume and not target.is_begun:
        raise misuse(f"Nothing that could be resumed was begun at {file}")
    if not resume:
        body = {"from": since, "filters": filters} | filled(to=to)
        target.begin(session.api.send("POST", EXPORTS, body).body)
    told = take_out(session, target)
    session.answer(told, lambda _: tell_export(file, told))


def tell_export(file: Path, told: dict[str, Any]) -> None:
    """What is there now, and how to verify it."""
    note(safe(f"{file}: {told['events']} events"))
    part = f" --after {told['from_position']}" if told["from_position"] else ""
    if not told["filters"]:
        note(safe(f"rollbook audit verify {file} --checkpoints FILE{part} --to {told['to_position']}"))


@audit.command("exports")
@command
def exports(session: Session, limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 100) -> None:
    """List who took out what, newest first."""
    body = session.api.get(EXPORTS, query(limit=limit)).body
    session.answer(body, lambda rows: print_table(OF_EXPORTS, [export_row(one) for one in rows]))


def export_row(one: dict[str, Any]) -> list[str]:
    """An export as a row under OF_EXPORTS."""
    names = ("id", "kind", "from_position", "to_position", "filters", "requested_by")
    return [*(word(one[name]) for name in names), moment(one["created_at"])]


@audit.command("checkpoints")
@command
def checkpoints(
    session: Session,
    after: Annotated[int, typer.Option(min=0, help="Behind the checkpoint of this number.")] = 0,
    latest: Annotated[bool, typer.Option(help="The last one only.")] = False,
) -> None:
    """Print what was sealed, a line each, as the verifier reads it; with the ends of your own chain, and no other."""
    behind: int | None = after
    while behind is not None:
        asked = query(after=behind, limit=1 if latest else TOGETHER, latest=latest)
        body = session.api.get(CHECKPOINTS, asked).body
        for one in body["checkpoints"]:
            print_json_line(one)
        behind = body["after"]


@audit.command("verify", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def verify(
    context: typer.Context,
    log: Annotated[str, typer.Argument(metavar="LOG", help="An export, - for standard input, or the owner's DSN.")],
) -> None:
    """Verify an export or a database: exit code 0 intact, 1 broken, 2 checkpoint mismatch, 3 gap, 4 unreadable.

    Takes --checkpoints FILE, --key KEY, --after N, --to N and --json, as rollbook-verify does, which this starts.
    """
    from entrypoints.verify.rollbook_verify import main

    main([log, *context.args])
