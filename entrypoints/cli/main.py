"""The `rollbook` command: finds what to run and imports no more than that, so that it starts fast."""

import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import Abort, TyperException
from typer.main import get_group

from entrypoints.cli.failures import EPILOG, Exit, described, misuse, sentence
from entrypoints.cli.output import note, print_json_line, safe
from entrypoints.cli.session import MARKUP

# The module under entrypoints.cli whose `commands` has them, in the order of the help page.
COMMANDS = {
    "deployments": ("list", "show", "history"),
    "changes": ("create", "update", "release", "rollback", "approve"),
    "watch": ("watch",),
    "lanes": ("lanes", "lane"),
    "corrections": ("at", "correct", "corrections"),
    "why": ("why",),
    "replay": ("replay",),
    "debug": ("debug",),
    "fleet": ("fleet", "diff"),
    "bundles": ("bundle",),
    "freezes": ("freeze", "thaw", "freezes"),
    "runners": ("claim", "heartbeat"),
    "tokens": ("token",),
    "rules": ("rules",),
    "incidents": ("incident",),
    "teams": ("teams",),
    "dora": ("dora",),
    "organisations": ("organisation",),
    "operator": ("operator",),
    "erase": ("erase",),
    "audit": ("audit",),
    "nats": ("nats",),
    "demo": ("demo",),
    "events": ("events",),
    "jobs": ("job",),
    "packages": ("package",),
    "environments": ("env",),
    "webhooks": ("webhook",),
    "servers": ("up", "serve", "project", "relay", "work"),
    "config": ("config",),
    "rebuild": ("rebuild",),
    "backups": ("backup", "restore"),
}
MODULES = {name: module for module, names in COMMANDS.items() for name in names}


class LateGroup(TyperGroup):
    """Imports a command's module when the command is asked for; says failures in one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, without importing anything."""
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command. An unknown name loads all, for the help of "did you mean"."""
        wanted = {MODULES[cmd_name]} if cmd_name in MODULES else set(COMMANDS)
        for name in wanted if cmd_name not in self.commands else ():
            module = import_module(f"entrypoints.cli.{name}")
            self.commands.update(get_group(module.commands).commands)
        return self.commands.get(cmd_name)

    def main(self, args: Sequence[str] | None = None, *_: Any, **settings: Any) -> Any:
        """Runs one command line and exits with its code."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            check_text(given)
            settings |= {"standalone_mode": False, "prog_name": "rollbook"}
            code = super().main(given, **settings)
        except TyperException as failure:
            report(failure, "--json" in given)
            code = failure.exit_code
        except Abort:
            note("Aborted")
            code = Exit.INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)


def check_text(given: Sequence[str]) -> None:
    """Refuses arguments that are no text and so could not be sent."""
    try:
        "".join(given).encode()
    except UnicodeEncodeError:
        raise misuse("The arguments are not UTF-8") from None


def report(failure: TyperException, as_json: bool) -> None:
    """Says on stderr why there is no answer."""
    if not as_json:
        note(safe(sentence(failure)))
        return
    print_json_line(described(failure), sys.stderr)


app = typer.Typer(
    cls=LateGroup,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def tell_version(wanted: bool) -> None:
    """Prints the version and ends."""
    if wanted:
        print(f"rollbook {metadata.version('rollbook')}")
        raise typer.Exit


@app.callback()
def rollbook(
    version: Annotated[
        bool,
        typer.Option("--version", callback=tell_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Deployments that remember everything: ask the queue, move it, run it."""


def main() -> None:
    """Where the installed `rollbook` starts."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app()
