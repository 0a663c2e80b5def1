"""The command line as a whole: every command speaks JSON, completes, and says how it ends."""

from typing import Any

import pytest
from typer.main import get_command

from entrypoints.cli.failures import Exit
from entrypoints.cli.main import COMMANDS, app
from tests.cli.conftest import Run
from tests.cli.stand_in import rollbook

ASKED_FOR = ("list", "show", "create", "update", "release", "rollback", "approve", "freeze", "history", "watch")
# They run here, on this machine; all others ask a server.
LOCAL = {
    *COMMANDS["servers"],
    *COMMANDS["config"],
    *COMMANDS["rebuild"],
    *COMMANDS.get("backups", ()),
    "operator",
    "erase",
    "nats",
    "demo",
}


def leaves(group: Any, name: str = "") -> dict[str, Any]:
    """Every command by its full name."""
    found: dict[str, Any] = {}
    for one in group.list_commands(None):
        child, full = group.get_command(None, one), f"{name} {one}".strip()
        found |= leaves(child, full) if hasattr(child, "list_commands") else {full: child}
    return found


def test_every_command_that_asks_a_server_answers_in_json_and_takes_its_credentials_from_the_environment() -> None:
    asking = {
        name: one
        for name, one in leaves(get_command(app)).items()
        if name.split()[0] not in LOCAL and name not in ("audit verify", "bundle open")
    }
    assert asking.keys() >= {*ASKED_FOR, "token create", "token list", "token revoke"}
    for name, one in asking.items():
        options = {option: p for p in one.params for option in p.opts}
        assert "--json" in options, name
        assert options["--token"].envvar == ["ROLLBOOK_TOKEN", "GITHUB_TOKEN"], name
        assert (options["--org"].envvar, options["--api-url"].envvar) == (["ORG"], ["API_URL"]), name


def test_the_help_tells_every_exit_code(run: Run) -> None:
    told = run("--help").out
    for code in Exit:
        assert f"\n {code.value}  " in told or f" {code.value}  " in told, code


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("rollbook li", {"list"}),
        ("rollbook token ", {"create", "list", "revoke"}),
        ("rollbook list --stat", {"--status"}),
        ("rollbook update x --status roll", {"rolled_back"}),
    ],
)
def test_the_shell_completes_commands_options_and_values(typed: str, completed: set[str]) -> None:
    words = typed.split(" ")
    asked = {"_ROLLBOOK_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    assert set(rollbook(**asked).out.split()) == completed


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_shown_how_to_complete(shell: str) -> None:
    shown = rollbook(_ROLLBOOK_COMPLETE=f"source_{shell}")
    assert (shown.code, "_ROLLBOOK_COMPLETE" in shown.out) == (0, True)
