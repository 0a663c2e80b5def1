"""Commands for freezes: declare one, lift one, list them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from entrypoints.cli.changes import offset_time
from entrypoints.cli.failures import misuse
from entrypoints.cli.fields import (
    Account,
    AsOf,
    Cell,
    Cloud,
    Environment,
    Name,
    Reason,
    Region,
    WhyNot,
)
from entrypoints.cli.output import moment, note, print_record, print_table, word
from entrypoints.cli.session import Session, command, filled, group, part, query

PATH = "/v1/freezes"
HEADINGS = ("ID", "SCOPE", "REASON", "UNTIL", "BY", "CREATED", "LIFTED")

commands = group()


@commands.command("freeze")
@command
def freeze(
    session: Session,
    reason: Reason,
    name: Name = None,
    provider: Cloud = None,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
    environment: Environment = None,
    until: Annotated[
        str | None,
        typer.Option(help="When it ends by itself (ISO 8601 with an offset)."),
    ] = None,
    hours: Annotated[float | None, typer.Option(min=0.01, max=8760, help="How long it lasts.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Freeze the whole organisation.")] = False,
) -> None:
    """Let nothing new start in a scope, until it is lifted or its time is up."""
    scope = filled(
        name=name,
        provider=provider,
        cloud_account_id=account,
        region=region,
        cell=cell,
        environment=environment,
    )
    if bool(scope) == everything:
        raise misuse("Give a scope (--name, --environment ...), or --all for the whole organisation")
    body = {"scope": scope, "reason": reason} | filled(until=ending(until, hours))
    session.answer(session.api.send("POST", PATH, body).body, tell)


def ending(until: str | None, hours: float | None) -> str | None:
    """When a freeze ends; None when only by hand."""
    if until is not None and hours is not None:
        raise misuse("Give --until or --hours, not both")
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat() if hours is not None else offset_time(until)


def tell(body: dict[str, Any]) -> None:
    """Prints a freeze's fields, without those that are empty."""
    times = ("until", "created_at", "lifted_at")
    shown = {**body, "scope": scope_in_words(body.get("scope"))}
    print_record({k: moment(v) if k in times else v for k, v in shown.items() if v is not None})


def scope_in_words(scope: Any) -> str:
    """What a freeze covers."""
    set_fields = [f"{k}={word(v)}" for k, v in scope.items() if v is not None] if isinstance(scope, dict) else []
    return " ".join(set_fields) or "everything"


@commands.command("thaw")
@command
def thaw(
    session: Session,
    freeze_id: Annotated[str, typer.Argument(metavar="ID", help="A freeze's id.")],
    reason: WhyNot = None,
) -> None:
    """Lift a freeze before its time."""
    reply = session.api.send("POST", f"{PATH}/{part(freeze_id)}/lift", filled(reason=reason))
    session.answer(reply.body, lambda body: tell(body) if body else note("The freeze is lifted"))


@commands.command("freezes")
@command
def freezes(session: Session, as_of: AsOf = None) -> None:
    """List freezes, newest first."""
    session.answer(
        session.api.get(PATH, query(as_of=as_of)).body,
        lambda body: print_table(HEADINGS, [row_of(f) for f in body]),
    )


def row_of(body: dict[str, Any]) -> list[str]:
    """A freeze as a row under HEADINGS."""
    facts = [
        word(body.get("id")),
        scope_in_words(body.get("scope")),
        word(body.get("reason")),
    ]
    return [
        *facts,
        moment(body.get("until")),
        word(body.get("by")),
        *map(moment, when(body)),
    ]


def when(body: dict[str, Any]) -> tuple[Any, Any]:
    """When a freeze was declared and when lifted."""
    return body.get("created_at"), body.get("lifted_at")
