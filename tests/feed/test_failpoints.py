"""Failpoints kill where they are told to, and are nothing when they are not armed."""

import os
import signal
import subprocess
import sys

import pytest

from adapters.failpoints import VARIABLE, Failpoints

PROGRAM = "from adapters.failpoints import failpoint\nfor n in range(5): failpoint('here'); print(n, flush=True)"


def run(armed: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, VARIABLE: armed}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=surroundings, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(("armed", "printed"), [("here", ""), ("here:1", ""), ("here:3", "0\n1\n")])
def test_the_process_dies_at_the_hit_that_was_named(armed: str, printed: str) -> None:
    ended = run(armed)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, printed)


@pytest.mark.parametrize("armed", ["", "elsewhere", "here:6"])
def test_other_places_and_counts_never_reached_do_nothing(armed: str) -> None:
    assert run(armed).returncode == 0


@pytest.mark.parametrize("armed", ["here:0", "here:-1", "here:soon"])
def test_a_count_that_makes_no_sense_is_refused(armed: str) -> None:
    with pytest.raises(ValueError):
        Failpoints(armed)
