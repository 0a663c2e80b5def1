"""What a subscriber wants of the feed, and which events that are."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from domain.recorded import RecordedEvent
from domain.taxonomy import Taxonomy, lane_id

# Where payloads say what they are about; the first place that says something counts.
ENVIRONMENT = (
    *("environment", "release.environment", "freeze.scope.environment"),
    *("arguments.environment", "entry.environment", "scope.environment"),
)
NAME = ("taxonomy.name", "component", "freeze.scope.name", "package", "scope.name")
TOKENS = "token"


@dataclass(frozen=True, slots=True)
class About:
    """What an event is about, as far as it or the first of its stream says so."""

    lane: str | None = None
    environment: str | None = None
    name: str | None = None

    def completed(self, by: "About") -> "About":
        """The same, with what another knows where this says nothing."""
        return About(self.lane or by.lane, self.environment or by.environment, self.name or by.name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a subscriber asks for; and whether it may see keys of `rows`, and `tokens` at all.

    A topic is a pattern of two words, each of which may be `*`.
    """

    topics: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ()
    lane: str | None = None
    environment: str | None = None
    name: str | None = None
    rows: bool = True
    tokens: bool = True

    @property
    def asks_what_it_is_about(self) -> bool:
        """Whether the topic alone does not decide."""
        return (self.lane, self.environment, self.name) != (None, None, None)

    def takes_topic(self, topic: str) -> bool:
        """Whether an event of this topic may be wanted."""
        return takes_topic(self, topic)

    def takes(self, about: About) -> bool:
        """Whether what this is about is wanted."""
        pairs = ((self.lane, about.lane), (self.environment, about.environment), (self.name, about.name))
        return all(wanted is None or wanted == said for wanted, said in pairs)


@lru_cache(maxsize=10_000)
def takes_topic(wanted: Wanted, topic: str) -> bool:
    """See Wanted."""
    aggregate, _, word = topic.partition(".")
    if aggregate == TOKENS and not wanted.tokens:
        return False
    if wanted.aggregates and aggregate not in wanted.aggregates:
        return False
    return not wanted.topics or any(fits(pattern, aggregate, word) for pattern in wanted.topics)


def fits(pattern: str, aggregate: str, word: str) -> bool:
    """Whether a topic is one of those that a pattern means; `deployment` alone means all of them."""
    first, _, second = pattern.partition(".")
    return first in ("*", aggregate) and (second or "*") in ("*", word)


def about_of(event: RecordedEvent) -> About:
    """What the event itself says."""
    return About(lane_of(event), first_said(event.data, ENVIRONMENT) or opened(event), first_said(event.data, NAME))


def opened(event: RecordedEvent) -> str | None:
    """The name of an environment that begins here."""
    return event.data.get("name") if event.topic == "environment.opened" else None


def lane_of(event: RecordedEvent) -> str | None:
    """The lane's id, from its stream or from a taxonomy."""
    if event.stream_id.startswith("lane-"):
        return event.stream_id.removeprefix("lane-")
    taxonomy = event.data.get("taxonomy")
    return str(lane_id(event.organisation, Taxonomy(**taxonomy))) if isinstance(taxonomy, dict) else None


def first_said(data: Mapping[str, Any], places: tuple[str, ...]) -> str | None:
    """The text at the first of these places that has one."""
    return next((found for place in places if (found := said_at(data, place))), None)


def said_at(data: Mapping[str, Any], place: str) -> str | None:
    """The text at one place."""
    found: Any = data
    for name in place.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None
