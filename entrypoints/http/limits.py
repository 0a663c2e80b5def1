"""How often an organisation and an address may ask: token buckets, refilled all the time."""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from time import monotonic

from domain.errors import RateLimited

REMEMBERED = 10_000


class Buckets:
    """One bucket a key, of `per_minute` requests; 0 is no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = monotonic) -> None:
        self.per_minute = per_minute
        self.clock = clock
        self.levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, key: str) -> None:
        """Takes one request, or raises RateLimited."""
        if not self.per_minute:
            return
        now = self.clock()
        level, since = self.levels.get(key, (float(self.per_minute), now))
        level = min(self.per_minute, level + (now - since) * self.per_minute / 60)
        if level < 1:
            raise RateLimited("Too many requests", retry_after=ceil((1 - level) * 60 / self.per_minute))
        self.levels[key] = (level - 1, now)
        self.levels.move_to_end(key)
        if len(self.levels) > REMEMBERED:
            self.levels.popitem(last=False)


class RateLimits:
    """The limits of one process."""

    def __init__(self, per_organisation: int, per_address: int) -> None:
        self.organisations = Buckets(per_organisation)
        self.addresses = Buckets(per_address)
