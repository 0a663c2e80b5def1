"""Commands for who audits: search the record, take it out, have what was sealed, verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from entrypoints.cli.audit_export import EXPORTS, Target, take_out
from entrypoints.cli.failures import misuse
from entrypoints.cli.fields import AsOf
from entrypoints.cli.output import moment, note, print_json_line, print_table, safe, word
from entrypoints.cli.session import Session, command, filled, group, query

if TYPE_CHECKING:
    from adapters.settings import Settings
    from entrypoints.cli.client import Query

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
    as_of: AsOf = None,
) -> None:
    """Search the record.

    \b
    rollbook audit events --actor ann --from -1h --environment production
    rollbook audit events --stream deployment-6b6f0c1e-... --order oldest
    rollbook audit events --topic freezes.declared --text sale --json
    """
    filters = filled(actor=actor, topic=topic, lane=lane, environment=environment, stream=stream, text=text)
    found = search(session, query(**filters, **{"from": since}, to=to, order=order, as_of=as_of), limit)
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
    """Take the record out, exact to the byte. That you did is on record. With --resume it goes on where it ended.

    \b
    rollbook audit export log.ndjson
    rollbook audit export production.ndjson --environment production --from -7d
    """
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
def exports(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 100,
    as_of: AsOf = None,
) -> None:
    """List who took out what, newest first: rollbook audit exports --limit 10"""
    body = session.api.get(EXPORTS, query(limit=limit, as_of=as_of)).body
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
    as_of: AsOf = None,
) -> None:
    """Print what was sealed, a line each, as the verifier reads it; with the ends of your own chain, and no other.

    rollbook audit checkpoints > checkpoints.ndjson
    """
    page: Query | None = query(after=after, limit=1 if latest else TOGETHER, latest=latest, as_of=as_of)
    while page is not None:
        reply = session.api.get(CHECKPOINTS, page)
        for one in reply.body["checkpoints"]:
            print_json_line(one)
        page = reply.next_page


@audit.command("verify")
def verify(
    log: Annotated[
        str | None, typer.Argument(metavar="LOG", help="An export, - for standard input, or the owner's DSN.")
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help="What was sealed, as it was taken out; else what the database itself says.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="A key that seals, in base64; else that of the first.")] = None,
    after: Annotated[int | None, typer.Option(help="The export begins behind this position.")] = None,
    to: Annotated[int | None, typer.Option(help="The export ends at this position.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Verify an export, a database, or without LOG the database of this machine, as rollbook-verify does.

    Exit code 0 intact, 1 broken, 2 checkpoint mismatch, 3 gap, 4 unreadable.

    \b
    rollbook audit verify log.ndjson --checkpoints checkpoints.ndjson
    DATA_DIR=demo-data rollbook audit verify --checkpoints checkpoints.ndjson
    """
    given = [("--checkpoints", checkpoints), ("--after", after), ("--to", to), *(("--key", one) for one in key or ())]
    options = [f"{name}={value}" for name, value in given if value is not None] + ["--json"] * json
    raise typer.Exit(verified_here(options) if log is None else verdict_of([*options, "--", log]))


def verified_here(options: list[str]) -> int:
    """The verdict on the database that the settings mean, read as its owner."""
    from entrypoints import backups
    from entrypoints.cli.backups import run

    async def work(settings: "Settings") -> int:
        if not backups.is_there(settings):
            raise misuse(
                f"There is no Rollbook in {settings.data_dir}: set DATA_DIR, or DATABASE_URL; or name an export"
            )
        with backups.in_one_line():
            async with backups.owned(settings) as (url, _):
                return verdict_of([*options, "--", url])

    return run(work)


def verdict_of(arguments: list[str]) -> int:
    """Prints what the verifier says; its exit code."""
    from entrypoints.verify.rollbook_verify import main

    try:
        main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
