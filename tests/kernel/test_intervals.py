"""What was valid at a position is found where versions are filed, and a page of the past is the fold's."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.conditions import Condition, equals, one_of
from adapters.postgres.intervals import fork_of, forks_at
from domain.status import Status
from projections.read_model import STILL
from projections.registry import DEPLOYMENTS
from tests.kernel.history import fresh_kernel
from tests.kernel.test_read_models import fold, live_through, project

POSITIONS = st.integers(1, 2**60)
FEW_LANES = [("schedule", n % 3, Status.SCHEDULED) for n in range(9)]
CHANGES = st.lists(st.tuples(st.just("report"), st.integers(0, 8), st.sampled_from(list(Status))), max_size=20)
FILTERS: list[tuple[list[Condition], set[str], str | None]] = [
    ([one_of("status", ["scheduled"])], {"scheduled"}, None),
    ([one_of("status", ["deployed", "in_progress"])], {"deployed", "in_progress"}, None),
    ([one_of("status", ["skipped", "failed"]), equals("name", "shop-1")], {"skipped", "failed"}, "shop-1"),
]


@given(start=POSITIONS, length=st.integers(1, 2**60), offset=st.integers(-(2**60), 2**61))
def test_a_version_is_filed_where_each_of_its_positions_looks(start: int, length: int, offset: int) -> None:
    end, asked = start + length, max(1, start + offset)
    found = fork_of(start, end) in forks_at(asked)
    assert found or not start <= asked < end


@given(start=POSITIONS, offset=st.integers(0, 2**60))
def test_a_version_that_still_holds_is_found_from_its_start_on(start: int, offset: int) -> None:
    assert fork_of(start, STILL) in forks_at(start + offset)


@given(position=POSITIONS)
def test_there_is_one_place_to_look_on_each_level(position: int) -> None:
    assert len(set(forks_at(position))) == 63


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, limit=st.integers(0, 4))
@pytest.mark.parametrize("order", ["created_position", "created_position desc"])
def test_a_filtered_page_of_the_past_is_that_of_the_fold(
    postgres: Any, template: str, changes: list[Any], limit: int, order: str
) -> None:
    asyncio.run(check_pages(postgres, template, [*FEW_LANES, *changes], limit, order))


async def check_pages(postgres: Any, template: str, steps: list[Any], limit: int, order: str) -> None:
    """At every commit, on a database of its own for each example; and now, which is the last of them."""
    async with fresh_kernel(postgres, template) as (kernel, url):
        await live_through(kernel, steps)
        projected = await project(kernel, url, 100)
        events = await projected.log.read_after(0, 10_000)
        ends = sorted({e.commit_position for e in events})
        for as_of in (*ends, None):
            seen = [e for e in events if as_of is None or e.position <= as_of]
            rows = sorted(fold(DEPLOYMENTS, seen).values(), key=lambda r: r["created_position"])
            rows = rows[::-1] if order.endswith("desc") else rows
            for wanted, statuses, name in FILTERS:
                expected = [r for r in rows if r["status"] in statuses and name in (None, r["name"])]
                page = await projected.views.select("acme", DEPLOYMENTS, wanted, order, limit, as_of)
                assert page.rows == expected[:limit]
                assert await projected.views.count("acme", DEPLOYMENTS, wanted, as_of) == len(expected)
