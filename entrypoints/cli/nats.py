"""`rollbook nats`: who may read the feed over NATS."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.output import note, print_json, print_record, safe
from entrypoints.cli.session import group

if TYPE_CHECKING:
    from adapters.settings import Settings

commands = group()
nats = group()
commands.add_typer(nats, name="nats", help="On the machine itself: who may read the feed over NATS.")

Organisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="Whose events.")]
Name = Annotated[str, typer.Option(help="What it is for: small letters, digits and underscores.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@nats.callback()
def on_this_machine() -> None:
    """For whoever runs the machine. Needs DATA_DIR, or NATS_URL; no token."""


@nats.command("user")
def user(
    organisation: Organisation,
    name: Name = "subscriber",
    from_now: Annotated[bool, typer.Option("--from-now", help="Without what is there already.")] = False,
    json: AsJson = False,
) -> None:
    """Make a user that sees this organisation's subjects only, with a durable consumer. Its password is printed once.

    For a server of NATS_URL, the lines that its configuration needs are printed too.

    Example: rollbook nats user acme --name billing
    """
    from entrypoints import subscribers

    facts = work(lambda settings: subscribers.admit(settings, organisation, name, from_now))
    if json:
        print_json(facts)
        return
    lines = {part: facts.pop(part) for part in ("exports", "accounts") if part in facts}
    print_record(facts)
    note("Keep the password: nobody can show it again.")
    if lines:
        note("Put these exports into the account that Rollbook uses, and this account beside it; then reload:")
        print(safe(lines["exports"]))
        print(safe(lines["accounts"]))


@nats.command("users")
def users(json: AsJson = False) -> None:
    """List who may read the feed of this machine's own server."""
    from entrypoints import subscribers

    found = in_words(lambda: subscribers.known(settings_here()))
    if json:
        print_json(found)
        return
    for one in found:
        print(safe(f"{one['organisation']}  {one['name']}  {one['user']}"))


@nats.command("forget")
def forget(organisation: Organisation, name: Name = "subscriber", json: AsJson = False) -> None:
    """Let a user in no more, and forget how far it had come."""
    from entrypoints import subscribers

    gone = work(lambda settings: subscribers.dismiss(settings, organisation, name))
    print_json(gone) if json else note(safe(f"{gone['user']} is let in no more"))


def work(task: Callable[["Settings"], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What the task answers; a Failure says in one line why it could not."""
    import uvloop

    async def run() -> dict[str, Any]:
        return await task(settings_here())

    found: dict[str, Any] = in_words(lambda: uvloop.run(run()))
    return found


def settings_here() -> "Settings":
    """The settings in force; nothing is logged that is no error."""
    from adapters.logs import configure_logging
    from adapters.settings import load_settings

    configure_logging("error", "console")
    return load_settings()


def in_words(task: Callable[[], Any]) -> Any:
    """What the task answers; refusals become Failures."""
    from adapters.embedded.process import CannotStart
    from adapters.settings import SettingsError
    from domain.errors import RollbookError, Unavailable

    try:
        return task()
    except SettingsError as problem:
        raise misuse(str(problem)) from None
    except RollbookError as refusal:
        code = Exit.UNAVAILABLE if isinstance(refusal, Unavailable) else Exit.REFUSED
        raise Failure(refusal.message, code, refusal.code) from None
    except (OSError, ValueError, CannotStart) as problem:
        raise Failure(f"Cannot work on this machine: {problem}", Exit.UNAVAILABLE, "UNAVAILABLE") from None
