"""Decides recorded history again under other rules, and tells what would differ.

Every decision is made on what was recorded before it: what is told are the first differences, not what would have
followed from them.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from application.redecisions import DECISIONS, Decision, Difference, Told, World, held, transition
from application.rule_changes import RuleChanges
from domain.deployment import Deployment
from domain.errors import Invalid
from domain.lane import Lane
from domain.recorded import RecordedEvent

Counted = Callable[[RecordedEvent], tuple[str, int]]
DECIDED = ("deployment", "lane", "freezes", "rules")


def by_organisation(recorded: RecordedEvent) -> tuple[str, int]:
    """Counts a whole history."""
    return recorded.organisation, recorded.sequence


def by_stream(recorded: RecordedEvent) -> tuple[str, int]:
    """Counts a part of a history that has whole streams: what a decision rests on is in those that it touches."""
    return recorded.stream_id, recorded.version


def redecide(
    changes: RuleChanges, told: Iterable[Told], first: int, last: int, counted: Counted = by_organisation
) -> Iterator[Difference]:
    """What would have been otherwise between two positions; Invalid where the history lacks its beginning.

    What was before the span is taken as it was, so that a part of the history tells the same as all of it.
    """
    world = World(changes)
    for end, commit in groupby(relevant(told, last, counted), lambda one: one[0].commit_position):
        together = list(commit)
        if end >= first:
            yield from sorted(decide(world, together))
        fold(world, together)


def relevant(told: Iterable[Told], last: int, counted: Counted) -> Iterator[Told]:
    """What decisions rest on, up to a position; nothing of the history may be missing."""
    numbers: dict[str, int] = {}
    for recorded, event in told:
        if recorded.position > last:
            return
        of, number = counted(recorded)
        if number != numbers.get(of, 0) + 1:
            raise Invalid(f"The history has a gap before position {recorded.position}: it must begin at its beginning")
        numbers[of] = number
        if recorded.stream_id.partition("-")[0] in DECIDED:
            yield recorded, event


def fold(world: World, commit: Iterable[Told]) -> None:
    """Takes what was recorded as it was."""
    for recorded, event in commit:
        world.aggregates[recorded.stream_id] = event.mutate(world.aggregates.get(recorded.stream_id))


def decide(world: World, commit: list[Told]) -> Iterator[Difference]:
    """Every decision that the commit records."""
    for recorded, event in commit:
        if isinstance(event, Deployment.Event) and (one := world.subject(commit, recorded)):
            yield from DECISIONS.get(type(event), transition)(world, Decision(commit, recorded, event, one))
        elif isinstance(event, Lane.Held):
            yield from held(world, recorded, event.hold)
