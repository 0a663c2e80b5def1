"""Sentences about one aggregate: given what happened, when something is decided, then this follows."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.errors import RollbookError

ID = UUID(int=7)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
AROUND = ("originator_id", "originator_version", "timestamp", "originator_topic")


@dataclass(frozen=True)
class Happened:
    """An event by what it says; where and when it stands follows from the story."""

    kind: type
    facts: dict[str, Any]


def happened(kind: type, **facts: Any) -> Happened:
    """One event of a story."""
    return Happened(kind, facts)


def told(*past: Happened) -> Any:
    """The aggregate of which all this is true; None when nothing happened."""
    aggregate = None
    for version, event in enumerate(past, 1):
        kind: Any = event.kind
        made_of = {"originator_topic": kind.TOPIC.partition(".")[0]} if version == 1 else {}
        one = kind(originator_id=ID, originator_version=version, timestamp=AT, **event.facts, **made_of)
        aggregate = one.mutate(aggregate)
    return aggregate


@dataclass
class Outcome:
    """What a decision came to: new events and an answer, or a refusal."""

    past: tuple[Happened, ...]
    aggregate: Any
    news: list[Any]
    answer: Any
    refusal: RollbookError | None

    def then(self, *expected: Happened) -> "Outcome":
        """Exactly these events followed, and telling the whole story again leads to the same state."""
        assert self.refusal is None, self.refusal
        assert [said(e) for e in self.news] == list(expected)
        if self.past:
            assert state(told(*self.past, *expected)) == state(self.aggregate)
        return self

    def answers(self, expected: Any) -> None:
        """This was answered."""
        assert self.answer == expected

    def is_refused(self, kind: type[RollbookError], words: str = "") -> None:
        """It was refused for this reason, and nothing followed."""
        assert type(self.refusal) is kind, self.refusal
        assert words in self.refusal.message
        assert self.news == []
        assert state(told(*self.past)) == state(self.aggregate)


@dataclass(frozen=True)
class Given:
    """A past."""

    past: tuple[Happened, ...]

    def when(self, decide: Callable[[Any], Any]) -> Outcome:
        """Lets the aggregate decide; a decision without a past answers a new aggregate."""
        aggregate: Any = told(*self.past)
        answer, refusal = None, None
        try:
            answer = decide(aggregate)
        except RollbookError as problem:
            refusal = problem
        aggregate = answer if aggregate is None else aggregate
        return Outcome(self.past, aggregate, list(aggregate.collect_events()), answer, refusal)


def given(*past: Happened) -> Given:
    """Begins a sentence."""
    return Given(past)


def said(event: Any) -> Happened:
    """An event by what it says."""
    return Happened(type(event), {f.name: getattr(event, f.name) for f in fields(event) if f.name not in AROUND})


def state(aggregate: Any) -> dict[str, Any]:
    """All that an aggregate knows, except when it learnt it and what it has not handed over yet."""
    hidden = ("_created_on", "_modified_on", "_pending_events")
    return {name: value for name, value in vars(aggregate).items() if name not in hidden}
