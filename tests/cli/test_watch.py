"""Watching through a pipe: what is new or has changed, a line each."""

import json
import os
import signal
import subprocess
import sys

from tests.cli.conftest import Run
from tests.cli.stand_in import LIMIT, START, StandIn

TWICE = ["watch", "--count", "2", "--interval", "0.2", "--retries", "0"]
WAITS = {"id": "d1", "status": "scheduled"}
RUNS = {"id": "d1", "status": "in_progress"}
OTHER = {"id": "d2", "status": "scheduled"}


def test_it_tells_changes_only(server: StandIn, run: Run) -> None:
    server.says(200, [WAITS])
    server.says(200, [OTHER, WAITS])
    ended = run(*TWICE, "--json")
    assert [json.loads(line) for line in ended.out.splitlines()] == [WAITS, OTHER]


def test_it_tells_what_became_of_a_deployment(server: StandIn, run: Run) -> None:
    server.says(200, [WAITS])
    server.says(200, [RUNS])
    lines = run(*TWICE).out.splitlines()
    assert ["scheduled" in lines[0], "in_progress" in lines[1], len(lines)] == [True, True, 2]


def test_it_waits_an_outage_out(server: StandIn, run: Run) -> None:
    server.says(503, {"detail": "restarting"})
    server.says(200, [WAITS])
    ended = run(*TWICE)
    assert (ended.code, len(ended.out.splitlines())) == (0, 1)
    assert "restarting" in ended.err


def test_it_ends_unavailable_when_the_outage_outlasts_it(server: StandIn, run: Run) -> None:
    server.says(503, {"detail": "restarting"})
    assert run("watch", "--for", "0", "--retries", "0").code == 5


def test_it_ends_at_once_when_it_may_not_look(server: StandIn, run: Run) -> None:
    server.says(403, {"detail": "no"})
    assert run(*TWICE).code == 3
    assert len(server.asked) == 1


def test_it_filters_like_a_list(server: StandIn, run: Run) -> None:
    server.says(200, [])
    run("watch", "--for", "0", "--status", "scheduled", "--name", "api", "--limit", "7")
    assert server.asked[0].query == [("status", "scheduled"), ("name", "api"), ("limit", "7")]


def test_it_ends_after_as_many_looks_as_were_asked_for(server: StandIn, run: Run) -> None:
    for _ in range(3):
        server.says(200, [WAITS])
    assert run("watch", "--count", "2", "--interval", "0.2").code == 0
    assert len(server.asked) == 2


def hear_ctrl_c() -> None:
    """A shell that runs the tests in the background has its children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_it_quietly(server: StandIn) -> None:
    server.says(200, [WAITS])
    environment = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "API_URL": server.url, "NO_PROXY": "*"}
    command = [sys.executable, "-c", START, "watch", "--interval", "600"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, env=environment, text=True, preexec_fn=hear_ctrl_c
    ) as process:
        assert process.stdout is not None
        assert "scheduled" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err.strip()) == (130, "")
