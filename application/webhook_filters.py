"""Which events a webhook is told of: what its filters say, and what is known of an event to hold against them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from domain.aggregates import AGGREGATES
from domain.errors import Invalid
from domain.taxonomy import Taxonomy

Filters = Mapping[str, Sequence[str]]
KINDS = ("topics", "aggregates", "environments", "names", "lanes")
TOPIC = re.compile(r"\*|[a-z_]+\.(\*|[a-z_]+)")
# What only the first event of a stream says of all the others.
OF_STREAM = ("environments", "names", "lanes")


@dataclass(frozen=True, slots=True)
class Place:
    """What a stream is about, as far as its first event says so."""

    environment: str | None = None
    name: str | None = None
    lane: str | None = None


NOWHERE = Place()


def place_of(stream_id: str, organisation: str, first: Mapping[str, Any]) -> Place:
    """What the payload of a stream's first event says."""
    taxonomy, release = first.get("taxonomy"), first.get("release")
    environment = release.get("environment") if isinstance(release, dict) else first.get("environment")
    if isinstance(taxonomy, dict):
        return Place(environment, taxonomy["name"], str(Taxonomy(**taxonomy).lane_id(organisation)))
    name = first.get("package") or first.get("name")
    if stream_id.startswith("environment-"):
        return Place(environment=name)
    return Place(environment, name if isinstance(name, str) else None)


def needs_place(filters: Filters) -> bool:
    """Whether an event alone does not decide."""
    return any(filters.get(kind) for kind in OF_STREAM)


def lets_through(filters: Filters, topic: str, place: Place) -> bool:
    """Whether all kinds of filters agree; of one kind, one of its values has to."""
    found = {
        "aggregates": topic.partition(".")[0],
        "environments": place.environment,
        "names": place.name,
        "lanes": place.lane,
    }
    wanted = all(found[kind] in values for kind in found if (values := filters.get(kind)))
    topics = filters.get("topics")
    return wanted and (not topics or any(covers(pattern, topic) for pattern in topics))


def covers(pattern: str, topic: str) -> bool:
    """Whether a topic is meant: `deployment.*` is every one of deployments."""
    return pattern in ("*", topic) or (pattern.endswith(".*") and topic.startswith(pattern[:-1]))


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
