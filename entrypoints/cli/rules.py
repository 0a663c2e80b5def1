"""Commands for the rules that an organisation sets itself: show, set."""

import json
from typing import Annotated, Any

import typer

from entrypoints.cli.failures import misuse
from entrypoints.cli.fields import AsOf
from entrypoints.cli.output import print_json
from entrypoints.cli.session import Session, command, group, query

PATH = "/v1/rules"

commands = group()
rules = group()
commands.add_typer(rules, name="rules", help="The rules of this organisation.")


@rules.callback()
def house() -> None:
    """The rules of this organisation."""


@rules.command("show")
@command
def show(session: Session, as_of: AsOf = None) -> None:
    """Print the rules in force, now or then, as JSON: `rules set` takes them back."""
    session.answer(session.api.get(PATH, query(as_of=as_of)).body, print_json)


@rules.command("set")
@command
def replace(
    session: Session,
    file: Annotated[
        typer.FileText,
        typer.Argument(help="A file with the rules as JSON; - is standard input."),
    ],
) -> None:
    """Replace all rules."""
    session.answer(session.api.send("PUT", PATH, parsed(file.read())).body, print_json)


def parsed(text: str, what: str = "rules") -> dict[str, Any]:
    """The rules in a text, or what else a file holds."""
    try:
        rules_given = json.loads(text)
    except ValueError as fault:
        raise misuse(f"The {what} are not JSON: {fault}") from None
    if not isinstance(rules_given, dict):
        raise misuse(f"The {what} must be a JSON object")
    return rules_given
