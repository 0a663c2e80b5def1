"""Which events a webhook is told of."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol

from domain.aggregates import AGGREGATES
from domain.errors import Invalid

Filters = Mapping[str, Sequence[str]]
TOPIC = re.compile(r"(\*|[a-z_]+)(\.(\*|[a-z_]+))?")
# What no topic says.
PLACES = ("environments", "names", "lanes")


class About(Protocol):
    """What an event is about, as far as anybody knows."""

    @property
    def environment(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...
    @property
    def lane(self) -> str | None: ...


def needs_place(filters: Filters) -> bool:
    """Whether a topic alone does not decide."""
    return any(filters.get(kind) for kind in PLACES)


def lets_through(filters: Filters, topic: str, about: About) -> bool:
    """Whether all kinds of filters agree; of one kind, one of its values has to."""
    found = {
        "aggregates": topic.partition(".")[0],
        "environments": about.environment,
        "names": about.name,
        "lanes": about.lane,
    }
    wanted = all(found[kind] in values for kind in found if (values := filters.get(kind)))
    topics = filters.get("topics")
    return wanted and (not topics or any(covers(pattern, topic) for pattern in topics))


def covers(pattern: str, topic: str) -> bool:
    """Whether a topic is meant: `deployment.*` or `deployment` is all of deployments, `*.failed` every failure."""
    first, _, second = pattern.partition(".")
    aggregate, _, word = topic.partition(".")
    return first in ("*", aggregate) and (second or "*") in ("*", word)


def check_filters(filters: Filters) -> None:
    """Invalid when a filter could never let anything through."""
    for pattern in filters.get("topics", ()):
        if not TOPIC.fullmatch(pattern) or not any(covers(pattern, topic) for topic in topics()):
            raise Invalid(f"There is no event that topic '{pattern[:100]}' means")
    for kind in filters.get("aggregates", ()):
        if kind not in {aggregate.TOPIC for aggregate in AGGREGATES}:
            raise Invalid(f"There is no aggregate '{kind[:100]}'")


@cache
def topics() -> frozenset[str]:
    """All topics that this release knows."""
    found = (getattr(event, "TOPIC", "") for kind in AGGREGATES for event in vars(kind).values())
    return frozenset(topic for topic in found if isinstance(topic, str) and "." in topic)
