"""Decides recorded history again under other rules, and tells what would differ.

Every decision is made on what was recorded before it: what is told are the first differences, not what would have
followed from them.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from application.redecisions import DECISIONS, Decision, Difference, Told, World, held, transition
from application.rule_changes import RuleChanges
from domain.deployment import Deployment
from domain.errors import Invalid
from domain.lane import Lane

DECIDED = ("deployment", "lane", "freezes", "rules")


def redecide(changes: RuleChanges, told: Iterable[Told], first: int, last: int) -> Iterator[Difference]:
    """What would have been otherwise between two positions; Invalid where the history lacks its beginning."""
    world = World(changes)
    for end, commit in groupby(relevant(told, last), lambda one: one[0].commit_position):
        together = list(commit)
        found = sorted(decide(world, together))
        yield from found if end >= first else ()
        fold(world, together)


def relevant(told: Iterable[Told], last: int) -> Iterator[Told]:
    """What decisions rest on, up to a position; nothing of the history may be missing."""
    sequences: dict[str, int] = {}
    for recorded, event in told:
        if recorded.position > last:
            return
        if recorded.sequence != sequences.get(recorded.organisation, 0) + 1:
            raise Invalid(f"The history has a gap before position {recorded.position}: it must begin at its beginning")
        sequences[recorded.organisation] = recorded.sequence
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
