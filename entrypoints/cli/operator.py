"""Commands for whoever runs the machine: they go to the database, past the API and its tokens."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from application.caller import Role
from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.fields import Reason
from entrypoints.cli.organisations import Owner
from entrypoints.cli.output import note, print_json, safe
from entrypoints.cli.session import group
from entrypoints.cli.tokens import ending, tell_once

if TYPE_CHECKING:
    from entrypoints.operator import Operator

commands = group()
operator = group()
commands.add_typer(operator, name="operator", help="On the machine itself: straight to the database.")

Organisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="Whose.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@operator.callback()
def on_this_machine() -> None:
    """For whoever runs the machine: let a first administrator in, rebind a name. Needs the database, no token."""


@operator.command("token")
def token(
    organisation: Organisation,
    name: Annotated[str, typer.Option(help="What it is for.")],
    role: Annotated[Role, typer.Option(help="What its bearer may do.")] = Role.ADMIN,
    expires_at: Annotated[str | None, typer.Option(help="When it ends (ISO 8601 with an offset).")] = None,
    days: Annotated[float | None, typer.Option(min=0.001, max=36500, help="How long it is valid.")] = None,
    json: AsJson = False,
) -> None:
    """Make a token of an organisation, such as its first administrator's. It is printed this once."""
    until = ending(expires_at, days)
    ends = datetime.fromisoformat(until) if until else None
    made = work(lambda one: one.issue_token(organisation, name, role, ends))
    print_json({**made, "expires_at": until}) if json else tell_once(made)


@operator.command("rebind")
def rebind(organisation: Organisation, owner: Owner, reason: Reason, json: AsJson = False) -> None:
    """Give an organisation's name to another owner, also before anybody came under it."""
    done = work(lambda one: one.rebind(organisation, owner, reason))
    if json:
        print_json(done)
    else:
        note(safe(f"{done['organisation']} belongs to {done['owner']} now"))


@operator.command("erase")
def erase(
    organisation: Organisation,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Logins, and by what else rules name people.")],
    json: AsJson = False,
) -> None:
    """Forget people for good: the log keeps pseudonyms that nobody can open any more. Servers forget in a minute."""
    erase_people(organisation, names, json)


def erase_people(organisation: str, names: list[str], json: bool) -> None:
    """Forgets them, and says whom."""
    done = work(lambda one: one.erase(organisation, names))
    if json:
        print_json(done)
    else:
        note(safe(f"Erased in {done['organisation']}: {', '.join(done['erased'])}"))


def work(task: Callable[["Operator"], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What the task answers; a Failure says in one line why it could not."""
    import uvloop

    from adapters.logs import configure_logging
    from adapters.settings import SettingsError, load_settings
    from domain.errors import RollbookError, Unavailable
    from entrypoints.operator import operator as opened

    async def run() -> dict[str, Any]:
        async with opened(load_settings()) as one:
            return await task(one)

    configure_logging("error", "console")
    try:
        return uvloop.run(run())
    except SettingsError as problem:
        raise misuse(str(problem)) from None
    except RollbookError as refusal:
        code = Exit.UNAVAILABLE if isinstance(refusal, Unavailable) else Exit.REFUSED
        raise Failure(refusal.message, code, refusal.code) from None
    except (OSError, ValueError) as problem:
        raise Failure(f"Cannot work on this machine: {problem}", Exit.UNAVAILABLE, "UNAVAILABLE") from None
