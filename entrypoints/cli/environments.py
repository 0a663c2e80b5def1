"""Commands about environments: the databases that packages come from and go to."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from entrypoints.cli.failures import Exit, Failure
from entrypoints.cli.fields import AsOf
from entrypoints.cli.output import moment, note, print_record, print_table, safe, word
from entrypoints.cli.session import Session, command, filled, group, part, query

PATH = "/api/environments"
HEADINGS = ("NAME", "KIND", "DSN", "READER DSN", "ORIGIN", "ADDED", "BY")

commands = group()
environment = group()
commands.add_typer(environment, name="env", help="Databases that packages come from and go to.")


class Kind(StrEnum):
    """The kinds of database."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    MONGODB = "mongodb"


Named = Annotated[str, typer.Argument(metavar="NAME", help="An environment's name.")]
Dsn = Annotated[
    str, typer.Option("--dsn", help="Where the server finds the DSN: env:VARIABLE or file:NAME; never the DSN itself.")
]
ReaderDsn = Annotated[
    str | None, typer.Option("--reader-dsn", help="The same for packing, of a role that can only read.")
]


@environment.callback()
def environments() -> None:
    """Databases that packages come from and go to."""


@environment.command("list")
@command
def listed(
    session: Session,
    kind: Annotated[Kind | None, typer.Option(help="Only of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="How many at most.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_of: AsOf = None,
) -> None:
    """List environments by name."""
    body = session.api.get(PATH, query(kind=kind, limit=limit, offset=offset, as_of=as_of)).body
    session.answer(body, lambda told: print_table(HEADINGS, [row_of(one) for one in told["environments"]]))


def row_of(body: dict[str, Any]) -> list[str]:
    """An environment as a row under HEADINGS."""
    seen = [word(body[name]) for name in ("name", "kind", "dsn", "reader_dsn", "origin")]
    return [*seen, moment(body["created_at"]) if body["created_at"] else "", word(body["created_by"])]


@environment.command("show")
@command
def show(session: Session, name: Named, as_of: AsOf = None) -> None:
    """Show one environment."""
    session.answer(session.api.get(f"{PATH}/{part(name)}", query(as_of=as_of)).body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints an environment's fields, without those that are empty."""
    shown = {name: value for name, value in body["environment"].items() if value is not None}
    print_record({name: moment(value) if name.endswith("_at") else value for name, value in shown.items()})


@environment.command("add")
@command
def add(
    session: Session,
    name: Named,
    kind: Annotated[Kind, typer.Option(help="What kind of database it is.")],
    dsn: Dsn,
    reader_dsn: ReaderDsn = None,
) -> None:
    """Add an environment; try it afterwards with `rollbook env test`. Needs role admin."""
    body = filled(name=name, kind=kind, dsn=dsn, reader_dsn=reader_dsn)
    session.answer(session.api.send("POST", PATH, body).body, tell)


@environment.command("change")
@command
def change(session: Session, name: Named, dsn: Dsn, reader_dsn: ReaderDsn = None) -> None:
    """Name other secrets for an environment. Needs role admin."""
    body = filled(dsn=dsn, reader_dsn=reader_dsn)
    session.answer(session.api.send("PUT", f"{PATH}/{part(name)}", body).body, tell)


@environment.command("remove")
@command
def remove(session: Session, name: Named) -> None:
    """Remove an environment; nothing happens to its database. Needs role admin."""
    body = session.api.send("DELETE", f"{PATH}/{part(name)}").body
    session.answer(body, lambda told: note(safe(f"{word(told['name'])} is removed")))


@environment.command("test")
@command
def test(session: Session, name: Named) -> None:
    """Connect to an environment and say what it gives; exit code 1 when it cannot be used."""
    body = session.api.send("POST", f"{PATH}/{part(name)}/test").body
    session.answer(body, tell_trial)
    if not body["ok"]:
        raise Failure("; ".join(map(word, body["problems"])), Exit.REFUSED, "ENVIRONMENT_NOT_USABLE")


def tell_trial(body: dict[str, Any]) -> None:
    """Prints what came of it, a line an address; warnings go to stderr."""
    print_record({"name": body["name"], "kind": body["kind"], "database": body["database"]})
    found = {"dsn": body["access"], "reader_dsn": body["reader"]}
    print_record({what: in_words(access) for what, access in found.items() if access})
    for warning in body["warnings"]:
        note(safe(f"warning: {word(warning)}"))


def in_words(access: dict[str, Any]) -> str:
    """What an address gives, in one line."""
    rights = "superuser" if access["is_superuser"] else "can write" if access["can_write"] else "can only read"
    return f"{word(access['server'])}, {word(access['latency_ms'])} ms, {rights}"
