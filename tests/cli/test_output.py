"""What reaches the terminal, whatever the answer holds."""

import os
import pty
import subprocess
import sys

from tests.cli.conftest import Run
from tests.cli.stand_in import LIMIT, START, StandIn, rollbook

HOSTILE = "\x1b[2J\x9b31m\u202eevil [bold]x[/bold]\n\ud800"


def test_values_cannot_steer_the_terminal(server: StandIn, run: Run) -> None:
    for arguments in (["list"], ["show", "d1"], ["show", "d1", "--json"], ["watch", "--for", "0"]):
        thing = {"id": "d1", "name": HOSTILE, HOSTILE: HOSTILE}
        server.says(200, thing if arguments[0] == "show" else [thing])
        ended = run(*arguments)
        assert ended.code == 0, ended.err
        assert not {"\x1b", "\x9b", "\u202e"} & set(ended.out)
        assert "evil [bold]x[/bold]" in ended.out


def test_errors_cannot_steer_the_terminal(server: StandIn, run: Run) -> None:
    server.says(400, {"detail": HOSTILE})
    err = run("show", "d1").err
    assert "\\x1b[2J" in err
    assert (err.count("\n"), "\x1b" in err) == (1, False)


def test_a_terminal_gets_a_table_with_whole_ids(server: StandIn) -> None:
    identity = "0b1c5b52-8f0b-4c8e-8d5e-1f3d6f1f1c02"
    server.says(200, [{"id": identity, "name": HOSTILE, "version": "v" * 200, "status": "deployed"}])
    shown = at_terminal("list", API_URL=server.url)
    assert identity in shown
    assert "\x1b[2J" not in shown
    assert "─" in shown


def test_a_terminal_gets_a_live_table(server: StandIn) -> None:
    server.says(200, [{"id": "d1", "status": "in_progress"}])
    server.says(200, [{"id": "d1", "status": "deployed"}])
    shown = at_terminal("watch", "--count", "2", "--interval", "0.2", API_URL=server.url)
    assert shown.index("in_progress") < shown.index("deployed")


def test_help_at_a_terminal_names_the_exit_codes() -> None:
    assert "a freeze is in force (423)" in at_terminal("--help")


def at_terminal(*arguments: str, **environment: str) -> str:
    """What the command line shows to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        paths = os.pathsep.join(p for p in sys.path if p)
        clean = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "TERM": "xterm", "COLUMNS": "100", "NO_PROXY": "*"}
        command = [sys.executable, "-c", START, *arguments]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=clean | environment) as process:
            os.close(theirs)
            shown = b"".join(iter(lambda: read(screen.fileno()), b""))
            assert process.wait(LIMIT) == 0, shown
    return shown.decode()


def read(screen: int) -> bytes:
    """What the terminal shows next, nothing once its other end is closed."""
    try:
        return os.read(screen, 65536)
    except OSError:
        return b""


def test_a_reader_that_leaves_early_gets_no_traceback(server: StandIn) -> None:
    server.says(200, [{"id": str(n), "name": "x" * 100} for n in range(900)])
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as gone:
        environment = {**os.environ, "API_URL": server.url, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-c", START, "list"]
        ended = subprocess.run(
            command, stdout=gone, stderr=subprocess.PIPE, env=environment, timeout=LIMIT, check=False, text=True
        )
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr


def test_a_locale_without_unicode_is_no_obstacle(server: StandIn, run: Run) -> None:
    server.says(200, {"id": "d1", "name": "größe"})
    ended = run("show", "d1", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert (ended.code, ended.out) == (0, "id    d1\nname  gr\\xf6\\xdfe\n")


def test_help_lists_the_exit_codes() -> None:
    ended = rollbook("--help")
    assert ended.code == 0
    assert "6  a freeze is in force (423)" in ended.out


def test_help_loads_nothing_that_it_does_not_need() -> None:
    source = (
        "import sys\nfrom entrypoints.cli.main import main\nsys.argv[1:] = ['--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('LOADED', {'httpx2', 'rich', 'eventsourcing', 'psycopg', 'pydantic', 'nats'} & sys.modules.keys())"
    )
    environment = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ended = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert ended.stdout.endswith("LOADED set()\n")


def test_commands_are_completed_by_the_shell() -> None:
    environment = {"_ROLLBOOK_COMPLETE": "complete_bash", "COMP_WORDS": "rollbook roll", "COMP_CWORD": "1"}
    assert rollbook(**environment).out.split() == ["rollback"]


def test_values_are_completed_by_the_shell() -> None:
    environment = {"_ROLLBOOK_COMPLETE": "complete_bash", "COMP_WORDS": "rollbook list --status d", "COMP_CWORD": "3"}
    assert rollbook(**environment).out.split() == ["deployed"]
