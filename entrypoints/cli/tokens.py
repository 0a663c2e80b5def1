"""Commands for Rollbook's own API tokens: create, list, revoke."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from application.caller import Role
from entrypoints.cli.changes import offset_time
from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.fields import AsOf
from entrypoints.cli.output import moment, note, print_table, safe, word
from entrypoints.cli.session import Session, command, filled, group, part, query

PATH = "/v1/tokens"
HEADINGS = ("ID", "NAME", "ROLE", "SCOPE", "CREATED", "EXPIRES", "REVOKED")

commands = group()
token = group()
commands.add_typer(token, name="token", help="API tokens of this organisation.")


@token.callback()
def tokens() -> None:
    """API tokens of this organisation."""


@token.command("create")
@command
def create(
    session: Session,
    name: Annotated[str, typer.Option(help="What it is for.")],
    role: Annotated[Role, typer.Option(help="What its bearer may do.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Only this action, such as deployment.create; may be given several times."),
    ] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it ends (ISO 8601 with an offset).")] = None,
    days: Annotated[float | None, typer.Option(min=0.001, max=36500, help="How long it is valid.")] = None,
) -> None:
    """Make a token. It is printed this once and can never be shown again."""
    body = filled(name=name, role=role, scope=scope or None, expires_at=ending(expires_at, days))
    session.answer(session.api.send("POST", PATH, body).body, tell_once)


def ending(expires_at: str | None, days: float | None) -> str | None:
    """When a token ends; None when only by hand."""
    if expires_at is not None and days is not None:
        raise misuse("Give --expires-at or --days, not both")
    return (datetime.now(UTC) + timedelta(days=days)).isoformat() if days is not None else offset_time(expires_at)


def tell_once(body: dict[str, Any]) -> None:
    """The token alone on stdout, so that it can be stored without cutting."""
    if "token" not in body:
        lost = f"Token {word(body.get('id'))} was made, but its secret was lost on the way: revoke it, make another"
        raise Failure(lost, Exit.UNAVAILABLE, "SECRET_LOST")
    note(f"Token {safe(word(body.get('id')))}: keep it now, it is not shown again")
    print(safe(body["token"]))


@token.command("list")
@command
def listed(session: Session, as_of: AsOf = None) -> None:
    """List tokens; never the tokens themselves."""
    session.answer(
        session.api.get(PATH, query(as_of=as_of)).body,
        lambda body: print_table(HEADINGS, [row_of(t) for t in body]),
    )


def row_of(body: dict[str, Any]) -> list[str]:
    """A token as a row under HEADINGS."""
    scope = body.get("scope")
    scopes = " ".join(map(word, scope)) if isinstance(scope, list) else word(scope)
    times = [moment(body.get(k)) for k in ("created_at", "expires_at", "revoked_at")]
    return [*(word(body.get(k)) for k in ("id", "name", "role")), scopes, *times]


@token.command("revoke")
@command
def revoke(
    session: Session,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="A token's id.")],
) -> None:
    """End a token at once."""
    reply = session.api.send("DELETE", f"{PATH}/{part(token_id)}")
    session.answer(reply.body, lambda _: note("The token is revoked"))
