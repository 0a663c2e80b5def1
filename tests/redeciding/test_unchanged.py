"""Under the rules that were in force, the domain decides every recorded history as it was recorded; and the streams
that a span touches tell as much of the span as the whole history does."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings

from adapters.exported_events import told
from application.execution import Executor
from application.redeciding import by_stream, redecide
from application.rule_changes import RuleChanges
from domain.lane_rules import HoldBy, SkipBy
from tests.kernel.history import EXAMPLES, fresh_kernel
from tests.redeciding.histories import differences, exported, recorded
from tests.reference.stories import STORIES, Step, Ticking, commands, outcome


async def lived(postgres: Any, template: str, steps: list[Step]) -> list[str]:
    """The export of a history in which all that was done."""
    async with fresh_kernel(postgres, template) as (kernel, _):
        executor = Executor(kernel.store, Ticking())
        for handler, asked in commands(steps):
            await outcome(executor, handler, asked)
        return exported(await recorded(kernel))


def skipped(lines: list[str]) -> set[str]:
    """Which deployments others took out of the queue."""
    found = ((event, event.data) for event, _ in told(lines) if event.topic == "deployment.skipped")
    return {event.stream_id[11:] for event, data in found if data["skipped_by"]}


def touched(lines: list[str], first: int, last: int) -> list[str]:
    """What a bundle of the span has: whole streams of what was touched in it, and what rules."""
    events = [event for event, _ in told(lines) if event.position <= last]
    streams = {event.stream_id for event in events if event.position >= first}
    kept = (event for event in events if event.stream_id in streams or event.stream_id.startswith(("freezes", "rules")))
    return exported(list(kept))


def by_parts(lines: list[str], changes: RuleChanges) -> None:
    """Each third of the history, decided by the streams that it touches."""
    ends = sorted({event.commit_position for event, _ in told(lines)})
    for share in range(3):
        inside = ends[len(ends) * share // 3 : len(ends) * (share + 1) // 3]
        if inside:
            first, last = ends[len(ends) * share // 3 - 1] + 1 if share else 1, inside[-1]
            part = told(touched(lines, first, last))
            assert list(redecide(changes, part, first, last, by_stream)) == differences(lines, changes, first, last)


def decide_again(postgres: Any, template: str, examples: int) -> None:
    """Random histories, each decided again under the same rules and under others."""

    @settings(max_examples=examples, **EXAMPLES)
    @given(steps=STORIES)
    def each(steps: list[Step]) -> None:
        lines = asyncio.run(lived(postgres, template, steps))
        assert differences(lines, RuleChanges()) == []
        never = differences(lines, RuleChanges(skip_by=SkipBy.NEVER))
        assert {(one.kind, one.deployment_id) for one in never} == {("kept", one) for one in skipped(lines)}
        for rule in SkipBy:
            others = RuleChanges(skip_by=rule, hold_by=HoldBy.NEVER, strict_transitions=True)
            assert differences(lines, others) == differences(lines, others)
            by_parts(lines, others)

    each()


def test_a_history_decided_again_under_its_own_rules_is_what_it_was(postgres: Any, template: str) -> None:
    decide_again(postgres, template, 6)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_so_are_many_histories(postgres: Any, template: str) -> None:
    decide_again(postgres, template, 200)
