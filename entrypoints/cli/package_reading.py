"""Commands that look at packages and at what was done with them."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from entrypoints.cli import package_group as given
from entrypoints.cli.fields import AsOf
from entrypoints.cli.output import moment, print_record, print_table, word
from entrypoints.cli.package_group import PATH, one, package
from entrypoints.cli.session import Session, command, query

HEADINGS = ("ID", "NAME", "VERSION", "TYPE", "FROM", "STATUS", "ROWS", "BYTES", "CREATED", "BY")
ACTIONS = ("ID", "ACTION", "STATUS", "FROM", "TO", "STARTED", "SECONDS", "ROWS", "FAILED", "BY", "WHY")
HELD = ("TABLE", "ROWS")
TIMES = ("createdon", "modifiedon")


class Status(StrEnum):
    """What a package can be."""

    PACKING = "packing"
    FAILED = "failed"
    ACTIVE = "active"
    ARCHIVED = "archived"


Limit = Annotated[int, typer.Option(min=0, max=1000, help="How many at most.")]
Offset = Annotated[int, typer.Option(min=0, help="How many to pass over.")]


@package.command("list")
@command
def listed(
    session: Session,
    kind: given.Kind = None,
    environment: given.Source = None,
    status: Annotated[Status | None, typer.Option(help="Only with this status.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    as_of: AsOf = None,
) -> None:
    """List packages, newest first."""
    where = query(package_type=kind, environment=environment, status=status, limit=limit, offset=offset, as_of=as_of)
    body = session.api.get(PATH, where).body
    session.answer(body, lambda told: print_table(HEADINGS, [row_of(package) for package in told["packages"]]))


def row_of(body: dict[str, Any]) -> list[str]:
    """A package as a row under HEADINGS."""
    first = [word(body[name]) for name in ("id", "name", "version", "packagetype", "environment", "status")]
    return [*first, rows_of(body), word(body["filesize"]), moment(body["createdon"]), word(body["createdby"])]


def rows_of(body: dict[str, Any]) -> str:
    """How many rows a package holds."""
    return "" if body["recordcounts"] is None else word(sum(body["recordcounts"].values()))


def told(body: dict[str, Any]) -> dict[str, Any]:
    """A package's fields, without those that are empty."""
    shown = {name: value for name, value in body.items() if value not in (None, [], {})}
    return {name: moment(value) if name in TIMES else value for name, value in shown.items()}


@package.command("show")
@command
def show(session: Session, package_id: given.Id, as_of: AsOf = None) -> None:
    """Show what a package holds, and what was done with it."""
    session.answer(session.api.get(one(package_id), query(as_of=as_of)).body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints what is said about a package, its tables and its last actions."""
    document = body["package"]
    data = document.get("database_data") or document.get("document_data") or {}
    hidden = ("database_data", "document_data")
    said = {name: value for name, value in document.items() if name not in hidden and value not in (None, [], {})}
    print_record(said | {"created_at": moment(document["created_at"])})
    if data:
        print()
        print_table(HELD, [held(table) for table in data.get("tables", data.get("collections", []))])
    print()
    tell_actions({"actions": body["recent_actions"]})


def held(table: dict[str, Any]) -> list[str]:
    """A table or a collection as a row under HELD."""
    if "collection_name" in table:
        return [word(table["collection_name"]), word(table["document_count"])]
    return [word(table["table_name"]), word(table["row_count"])]


@package.command("actions")
@command
def actions(session: Session, package_id: given.Id, limit: Limit = 50, offset: Offset = 0, as_of: AsOf = None) -> None:
    """List what was done with a package, also what failed."""
    where = query(limit=limit, offset=offset, as_of=as_of)
    session.answer(session.api.get(one(package_id, "actions"), where).body, tell_actions)


def tell_actions(body: dict[str, Any]) -> None:
    """Prints actions as a table."""
    print_table(ACTIONS, [action_row(action) for action in body["actions"]])


def action_row(body: dict[str, Any]) -> list[str]:
    """An action as a row under ACTIONS."""
    members = ("id", "actiontype", "actionstatus", "sourceenvironment", "targetenvironment")
    counts = [word(body[name]) for name in ("durationseconds", "recordsprocessed", "recordsfailed")]
    started = moment(body["startedat"]) if body["startedat"] else ""
    why = "; ".join(map(word, body["errorlog"]))
    return [*(word(body[name]) for name in members), started, *counts, word(body["performedby"]), why]
