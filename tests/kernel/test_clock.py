"""The clock of the log: nobody here looks at that of the machine again."""

from datetime import timedelta

import pytest

from adapters.postgres import clock as clocks
from adapters.postgres.clock import LogClock


def test_a_clock_goes_on_from_what_it_heard_and_never_trembles(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 0.0
    monkeypatch.setattr(clocks, "monotonic", lambda: passed)
    clock = LogClock()
    began = clock.now()
    for hour in (-1, 2):
        moved = clock.now() + timedelta(hours=hour)
        clock.hear(moved)
        passed += 10
        assert clock.now() == moved + timedelta(seconds=10)
        before = clock.now()
        clock.hear(before - timedelta(milliseconds=900))
        assert clock.now() == before
    assert clock.now() == began + timedelta(hours=1, seconds=20)
