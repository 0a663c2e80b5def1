"""Commands that forget for good: a person, or everybody of an organisation. The log keeps what nobody can open."""

from typing import Annotated

import typer

from entrypoints.cli.failures import misuse
from entrypoints.cli.fields import Reason
from entrypoints.cli.operator import AsJson, Organisation, erase_people, work
from entrypoints.cli.output import note, print_json, safe
from entrypoints.cli.session import group

commands = group()
erase = group()
commands.add_typer(erase, name="erase", help="On the machine itself: forget people for good, by destroying their keys.")

Sure = Annotated[bool, typer.Option("--yes", help="Do not ask: there is no way back.")]


@erase.callback()
def for_good() -> None:
    """Forget people for good: their keys are destroyed, which is on record. The log stays as it is, and verifies."""


@erase.command("person")
def person(
    organisation: Organisation,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Logins, and by what else rules name people.")],
    yes: Sure = False,
    json: AsJson = False,
) -> None:
    """Forget people: rollbook erase person acme ann --yes"""
    confirm(yes, f"Forget {', '.join(names)} in {organisation} for good?")
    erase_people(organisation, names, json)


@erase.command("organisation")
def organisation(organisation: Organisation, reason: Reason, yes: Sure = False, json: AsJson = False) -> None:
    """Forget everybody of an organisation, and destroy its key: rollbook erase organisation acme --reason "left" """
    confirm(yes, f"Forget everybody in {organisation} for good?")
    done = work(lambda one: one.erase_organisation(organisation, reason))
    if json:
        print_json(done)
    else:
        note(safe(f"Erased {done['organisation']}: {done['people']} people; servers forget within a minute"))


def confirm(yes: bool, question: str) -> None:
    """Goes on only when somebody says so."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise misuse("Nobody is here to ask: add --yes, there is no way back")
    typer.confirm(safe(question), abort=True, err=True)
