"""Who asks too often waits, and nobody else does."""

from pathlib import Path

import pytest

from domain.errors import RateLimited
from entrypoints.http.limits import REMEMBERED, Buckets
from tests.conftest import Database, Running, running_rollbook, settings_for


class Clock:
    """Time as the test tells it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_is_refilled_as_time_goes_on() -> None:
    clock = Clock()
    buckets = Buckets(2, clock)
    buckets.spend("acme")
    buckets.spend("acme")
    with pytest.raises(RateLimited) as refused:
        buckets.spend("acme")
    clock.now = refused.value.retry_after - 1
    with pytest.raises(RateLimited):
        buckets.spend("acme")
    clock.now = refused.value.retry_after
    buckets.spend("acme")


@pytest.mark.parametrize("per_minute", [1, 7, 41, 59, 600])
def test_who_waits_as_long_as_told_is_let_in(per_minute: int) -> None:
    clock = Clock()
    buckets = Buckets(per_minute, clock)
    for _ in range(per_minute):
        buckets.spend("acme")
    with pytest.raises(RateLimited) as refused:
        buckets.spend("acme")
    clock.now += refused.value.retry_after
    buckets.spend("acme")


def test_one_organisation_does_not_spend_what_another_has() -> None:
    buckets = Buckets(1)
    buckets.spend("acme")
    buckets.spend("other")
    with pytest.raises(RateLimited):
        buckets.spend("acme")


def test_zero_is_no_limit() -> None:
    buckets = Buckets(0)
    for _ in range(1000):
        buckets.spend("acme")


async def test_an_organisation_that_asks_too_often_is_a_429(database: Database, tmp_path: Path) -> None:
    async with running_rollbook(settings_for(tmp_path, rate_limit_per_minute=1), database) as running:
        statuses = [await asked(running, name) for name in ("acme", "acme", "other")]
    assert statuses == [404, 429, 404]


async def test_an_address_is_limited_whoever_it_says_it_is(database: Database, tmp_path: Path) -> None:
    async with running_rollbook(settings_for(tmp_path, rate_limit_address_per_minute=2), database) as running:
        # The first is refused for its name, and counts all the same.
        statuses = [await asked(running, name) for name in ("a\tb", "acme", "other")]
    assert statuses == [400, 404, 429]


async def asked(running: Running, organisation: str) -> int:
    """The status of one request."""
    answer = await running.client.get("/v1/deployments/unknown/history", headers={"X-Organisation": organisation})
    if answer.status_code == 429:
        assert int(answer.headers["retry-after"]) > 0
    return answer.status_code


def test_memory_is_bounded() -> None:
    buckets = Buckets(5)
    for number in range(REMEMBERED + 100):
        buckets.spend(str(number))
    assert len(buckets.levels) == REMEMBERED
