"""Who asks too often waits, and nobody else does."""

import pytest

from domain.errors import RateLimited
from entrypoints.http.limits import REMEMBERED, Buckets, RateLimits


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
    limits = RateLimits(per_organisation=1, per_address=0)
    limits.spend("acme", "192.0.2.1")
    limits.spend("other", "192.0.2.1")
    with pytest.raises(RateLimited):
        limits.spend("acme", "192.0.2.2")


def test_an_address_is_limited_whatever_organisation_it_names() -> None:
    limits = RateLimits(per_organisation=0, per_address=1)
    limits.spend("acme", "192.0.2.1")
    with pytest.raises(RateLimited):
        limits.spend("other", "192.0.2.1")


def test_zero_is_no_limit() -> None:
    limits = RateLimits(0, 0)
    for _ in range(1000):
        limits.spend("acme", "192.0.2.1")


def test_memory_is_bounded() -> None:
    buckets = Buckets(5)
    for number in range(REMEMBERED + 100):
        buckets.spend(str(number))
    assert len(buckets.levels) == REMEMBERED
