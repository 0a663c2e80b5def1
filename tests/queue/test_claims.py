"""Whatever runners, approvers and operators do, in any order: the queue does what a simple model of it does."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from entrypoints.workers.housekeeping import Housekeeping
from tests.conftest import Running
from tests.queue.claims_model import Clock
from tests.queue.runners import LIMIT, Runners


async def race(rollbook: Running, **more: Any) -> None:
    """Runs the machine in a thread, while this loop serves."""
    loop, clock = asyncio.get_running_loop(), Clock()
    rollbook.app.executor.clock = clock

    def sweep() -> None:
        asyncio.run_coroutine_threadsafe(Housekeeping(rollbook.app).end_silent_claims(), loop).result(LIMIT)

    class Here(Runners):
        def __init__(self) -> None:
            super().__init__(rollbook.url, clock, sweep)

    every = settings(deadline=None, suppress_health_check=list(HealthCheck), **more)
    await asyncio.to_thread(run_state_machine_as_test, Here, settings=every)


async def test_whatever_happens_the_queue_does_what_its_model_does(rollbook: Running) -> None:
    await race(rollbook, max_examples=6, stateful_step_count=20)


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_whatever_happens_for_long_the_queue_does_what_its_model_does(rollbook: Running) -> None:
    await race(rollbook, max_examples=60, stateful_step_count=50)
