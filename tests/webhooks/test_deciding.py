"""Which events are meant, when tries are made, and how they are signed."""

import pytest

from adapters.webhooks.signing import signature
from application.webhook_filters import covers
from application.webhook_retries import LONGEST_SECONDS, Patience, delay, is_over, rest


@pytest.mark.parametrize(
    ("pattern", "topic", "meant"),
    [
        ("*", "deployment.failed", True),
        ("deployment", "deployment.failed", True),
        ("deployment.*", "deployment.failed", True),
        ("*.failed", "deployment.failed", True),
        ("deployment.failed", "deployment.failed", True),
        ("deployment.*", "data_deployment.failed", False),
        ("deployment.fail", "deployment.failed", False),
        ("failed", "deployment.failed", False),
    ],
)
def test_a_pattern_means_topics(pattern: str, topic: str, meant: bool) -> None:
    assert covers(pattern, topic) is meant


def test_tries_grow_apart_and_end_after_about_a_day() -> None:
    for chance in (0.0, 0.5, 1.0):
        patience, gone = Patience(24, 3), 0.0
        waits: list[float] = []
        while not is_over(gone, delay(len(waits) + 1, chance), patience):
            waits.append(delay(len(waits) + 1, chance))
            gone += waits[-1]
        assert waits == sorted(waits)
        assert 10 <= len(waits) <= 15
        assert 18 * 3600 < gone <= 24 * 3600
    assert delay(1, 0.0) != delay(1, 1.0)
    assert delay(10_000, 0.5) == LONGEST_SECONDS
    assert delay(1, 0.5, asked=600) == 600
    assert [rest(n) for n in (1, 2, 5, 1000)] == [2, 4, 32, 60]


def test_a_signature_is_that_of_the_published_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
