"""Commands for an organisation's own facts: whose its name is."""

from typing import Annotated, Any

import typer

from entrypoints.cli.fields import AsOf, Reason
from entrypoints.cli.output import print_record, safe, word
from entrypoints.cli.session import Session, command, group, query

PATH = "/v1/organisation"

commands = group()
organisation = group()
commands.add_typer(organisation, name="organisation", help="Whose this organisation's name is.")

Owner = Annotated[
    str,
    typer.Argument(metavar="OWNER", help="GitHub's number of the account, or the issuer that vouches for the name."),
]


@organisation.callback()
def own() -> None:
    """Whose this organisation's name is."""


@organisation.command("show")
@command
def show(session: Session, as_of: AsOf = None) -> None:
    """Show the organisation and the owner that its name is bound to."""
    session.answer(session.api.get(PATH, query(as_of=as_of)).body, tell)


@organisation.command("rebind")
@command
def rebind(session: Session, owner: Owner, reason: Reason) -> None:
    """Give the name to another owner; who comes for the old one is refused from then on. Needs role admin."""
    body = {"owner": owner, "reason": reason}
    session.answer(session.api.send("POST", f"{PATH}/owner", body).body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints the organisation and its owner."""
    print_record({name: safe(word(body.get(name))) for name in ("organisation", "owner")})
