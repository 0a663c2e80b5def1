"""Commands for teams: whose each component is."""

from typing import Annotated

import typer

from entrypoints.cli.fields import AsOf
from entrypoints.cli.output import print_json
from entrypoints.cli.rules import parsed
from entrypoints.cli.session import Session, command, group, query

PATH = "/v1/teams"

commands = group()
teams = group()
commands.add_typer(teams, name="teams", help="Whose each component is.")


@teams.callback()
def whose() -> None:
    """Whose each component is."""


@teams.command("show")
@command
def show(session: Session, as_of: AsOf = None) -> None:
    """Print the teams, now or then, as JSON: `teams set` takes them back."""
    session.answer(session.api.get(PATH, query(as_of=as_of)).body, print_json)


@teams.command("set")
@command
def replace(
    session: Session,
    file: Annotated[typer.FileText, typer.Argument(help="A file with the teams as JSON; - is standard input.")],
) -> None:
    """Replace all teams.

    Example: echo '{"teams": {"web": ["shop", "till"]}}' | rollbook teams set -
    """
    session.answer(session.api.send("PUT", PATH, parsed(file.read(), "teams")).body, print_json)
