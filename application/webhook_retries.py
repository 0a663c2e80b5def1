"""When a delivery is tried again, and when it is given up."""

from dataclasses import dataclass

FIRST_SECONDS = 5.0
FACTOR = 4.0
LONGEST_SECONDS = 4 * 3600.0
# So that what failed together does not come back together.
SPREAD = 0.2
# After no answer at all the next delivery waits too, this long at the most.
LONGEST_REST = 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long one delivery is tried again, and after how long without any success a webhook is paused."""

    retry_hours: float
    pause_days: float


def delay(attempts: int, chance: float, asked: int | None = None) -> float:
    """Seconds until the next try after so many; `chance` is from 0 to 1, `asked` what the receiver asked for."""
    plain = min(FIRST_SECONDS * FACTOR ** min(attempts - 1, 20), LONGEST_SECONDS)
    return max(plain * (1 - SPREAD + 2 * SPREAD * chance), asked or 0)


def rest(failures: int) -> float:
    """Seconds for which nothing is sent to a webhook that gave no answer so many times running."""
    return min(2.0 ** min(failures, 10), LONGEST_REST)


def is_over(seconds_since_first: float, next_delay: float, patience: Patience) -> bool:
    """Whether the next try would come too late to be worth it."""
    return seconds_since_first + next_delay > patience.retry_hours * 3600
