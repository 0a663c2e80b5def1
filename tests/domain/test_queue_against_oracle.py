"""Whatever is asked in whatever order, the queue does what its guide and contract say."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.execution import AggregateCache, Executor
from tests.domain.oracle import Oracle
from tests.reference.stock import Stock, StockStore
from tests.reference.stories import MAKE, STORIES, Step, Ticking, commands, deployment_id, every_stream, outcome


def expected(oracle: Oracle, step: Step, number: int) -> str | None:
    """What the oracle answers to a step; None when any id will do."""
    new_id = str(deployment_id(number))
    match step.what:
        case "schedule":
            trigger = "auto" if step.auto else "manual"
            return oracle.add(step.lane, str(step.version), str(step.environment), trigger, number, new_id).id
        case "report":
            return oracle.report(step.target, step.status.value)
        case "annotate":
            return oracle.asked[step.target].id if step.target in oracle.asked else "NotFound"
        case "roll back lane":
            return oracle.roll_back_lane(step.lane, step.version, step.environment, number, new_id)
        case "roll back":
            return oracle.roll_back(step.target, step.version, number, new_id)
        case "claim":
            return oracle.claim(step.lane)
        case "lapse":
            return oracle.lapse(step.target, 1)
        case "approve":
            return oracle.approve(step.target)
        case "correct":
            return oracle.correct(step.target)
        case "release":
            return oracle.release(step.lane)
    return govern(oracle, step)


def govern(oracle: Oracle, step: Step) -> str | None:
    """Freezes and rules."""
    match step.what:
        case "freeze":
            oracle.frozen.add(step.lane)
        case "lift" if step.lane not in oracle.frozen:
            return "NotFound"
        case "lift":
            oracle.frozen.remove(step.lane)
        case _:
            oracle.approvals = step.auto
    return None


async def check(steps: list[Step], remembered: int) -> None:
    """Every answer, and every status after every step."""
    store, oracle, number = StockStore(Stock()), Oracle(), 0
    executor = Executor(store, Ticking(), AggregateCache(remembered))
    for step, (handler, asked) in zip(steps, commands(steps), strict=True):
        wanted = expected(oracle, step, number)
        answered = await outcome(executor, handler, asked)
        assert wanted == answered or (wanted is None and "-" in answered), step
        number += step.what in MAKE
        known = (await store.load("acme", every_stream(steps)[2:-2])).values()
        assert {str(d.id): d.status.value for d in known} == oracle.statuses(), step


@settings(max_examples=150, deadline=None)
@given(steps=STORIES, remembered=st.sampled_from([0, 2, 1000]))
def test_the_queue_does_what_its_guide_and_contract_say(steps: list[Step], remembered: int) -> None:
    asyncio.run(check(steps, remembered))


@pytest.mark.parametrize("wrong", ["skipped", "failed"])
async def test_the_oracle_would_notice(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [Step("schedule", version="1", environment="production")] * 2
    await check(steps, 0)
    monkeypatch.setattr(Oracle, "statuses", lambda self: {row.id: wrong for row in self.rows})
    with pytest.raises(AssertionError):
        await check(steps, 0)
