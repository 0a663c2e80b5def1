"""The decisions that history records, each made again by the domain under other rules."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from application.claims import CLAIM_RULE, ORDER_RULE, may_start
from application.deployments import SKIP_RULE
from application.rule_changes import UNCHANGED, RuleChanges
from domain.deployment import BECOMES, Deployment, check_transition
from domain.errors import Clash
from domain.freezes import Freeze, Freezes, first_covering
from domain.lane import Lane
from domain.lane_rules import Entry, Hold
from domain.recorded import RecordedEvent
from domain.rules import HouseRules, Rules

Told = tuple[RecordedEvent, Any]


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """What would have been otherwise at one position."""

    position: int
    deployment_id: str
    kind: str
    component: str
    environment: str
    version: str
    was: str
    would_be: str
    rule: str


@dataclass(slots=True)
class World:
    """Everything as it was recorded before a commit, and the rules that are tried on it.

    `skipped` are those that the changed rules took out of the queue already: nobody leaves it twice.
    """

    changes: RuleChanges
    aggregates: dict[str, Any] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)

    def subject(self, commit: list[Told], recorded: RecordedEvent) -> Deployment | None:
        """The deployment as it was before; one that the commit itself makes, as it began."""
        known: Deployment | None = self.aggregates.get(recorded.stream_id)
        made = (e for r, e in commit if r.stream_id == recorded.stream_id and isinstance(e, Deployment.Scheduled))
        return known or next((e.mutate(None) for e in made), None)

    def lane(self, one: Deployment) -> Lane | None:
        """Its lane."""
        found: Lane | None = self.aggregates.get(f"lane-{one.taxonomy.lane_id(one.organisation)}")
        return found

    def house(self, one: Deployment, changes: RuleChanges) -> HouseRules:
        """The rules of its organisation."""
        rules: Rules | None = self.aggregates.get(f"rules-{Rules.id_of(one.organisation)}")
        return changes.house(rules.rules if rules else HouseRules())

    def freeze(self, decision: "Decision", environment: str, changes: RuleChanges) -> Freeze | None:
        """The freeze that covers a start there."""
        one, now = decision.deployment, decision.recorded.recorded_at
        freezes: Freezes | None = self.aggregates.get(f"freezes-{Freezes.id_of(one.organisation)}")
        counted = changes.freezes(freezes.declared.values() if freezes else (), now)
        return first_covering(counted, one.taxonomy, environment, now)


@dataclass(frozen=True, slots=True)
class Decision:
    """One event of a deployment, the deployment before it, and what was recorded with it."""

    commit: list[Told]
    recorded: RecordedEvent
    event: Any
    deployment: Deployment

    def otherwise(self, kind: str, was: str, would_be: str, rule: str, of: Entry | None = None) -> Difference:
        """A difference about the deployment, or about another one of its lane."""
        return difference(self.recorded, self.deployment.taxonomy.name, of or self.present, kind, was, would_be, rule)

    @property
    def present(self) -> Entry:
        """What its lane knew of it before."""
        one = self.deployment
        facts = (str(one.id), one.number, one.release.version, one.release.environment)
        return Entry(*facts, one.trigger == "auto", one.trigger, one.status, one.approved)

    @property
    def skipped(self) -> set[str]:
        """Which deployments it took out of the queue."""
        mine, skips = str(self.deployment.id), [e for _, e in self.commit if isinstance(e, Deployment.Skipped)]
        return {str(e.originator_id) for e in skips if e.skipped_by == mine}


def difference(
    recorded: RecordedEvent, component: str, of: Entry, kind: str, was: str, would_be: str, rule: str
) -> Difference:
    """One difference."""
    facts = (component, of.environment, of.version, was, would_be, rule)
    return Difference(recorded.position, of.deployment_id, kind, *facts)


def transition(world: World, decision: Decision) -> Iterator[Difference]:
    """What somebody reported; strict transitions refuse some of it."""
    event, status = decision.event, BECOMES.get(type(decision.event))
    decided = isinstance(event, Deployment.ClaimLapsed) or getattr(event, "skipped_by", None)
    if status is None or decided or getattr(event, "replaced_by", None):
        return
    if world.house(decision.deployment, world.changes).strict_transitions:
        try:
            check_transition(decision.deployment.status, status)
        except Clash as refusal:
            was = f"became {status}"
            yield decision.otherwise("blocked", was, f"refused: {refusal.message}", "strict-transitions")


def started(world: World, decision: Decision) -> Iterator[Difference]:
    """Somebody reported a start, or rolled back at once."""
    yield from transition(world, decision)
    yield from start(world, decision, "started")


def start(world: World, decision: Decision, was: str) -> Iterator[Difference]:
    """A freeze refuses a start, unless a reason overrides it."""
    environment, override = decision.deployment.release.environment, decision.event.override
    before = world.freeze(decision, environment, UNCHANGED)
    freeze = world.freeze(decision, environment, world.changes)
    if freeze and not override:
        yield decision.otherwise("blocked", was, f"refused: frozen by {freeze.id} ({freeze.reason})", "frozen")
    if before and override and not freeze:
        spite = f"{was} in spite of the freeze {before.id}, by an override"
        yield decision.otherwise("allowed", spite, f"{was} without an override", "frozen")


def claimed(world: World, decision: Decision) -> Iterator[Difference]:
    """A runner took the next of the lane."""
    one, lane = decision.deployment, world.lane(decision.deployment)
    house = world.house(one, world.changes)
    may = partial(may_start, house, one.taxonomy)
    chosen = lane.next_to_claim(may, world.changes.hold_by) if lane else None
    if chosen and chosen.deployment_id == str(one.id):
        yield from start(world, decision, "claimed")
    else:
        yield unlike(decision, may(decision.present), chosen)
    yield from skips(world, decision, automatic_only=True)


def unlike(decision: Decision, may: bool, chosen: Entry | None) -> Difference:
    """Another would have been claimed, or none."""
    instead = f"{chosen.deployment_id} ({chosen.version}) would have been claimed" if chosen else "nothing claimed"
    if not may:
        return decision.otherwise("blocked", "claimed", f"waits for an approval; {instead}", "approval")
    return decision.otherwise("another" if chosen else "blocked", "claimed", instead, ORDER_RULE)


def deployed(world: World, decision: Decision) -> Iterator[Difference]:
    """It went live, and what waited before it was skipped."""
    yield from transition(world, decision)
    yield from skips(world, decision, automatic_only=False)


def skips(world: World, decision: Decision, automatic_only: bool) -> Iterator[Difference]:
    """Who leaves the queue for it, and who would have."""
    if (lane := world.lane(decision.deployment)) is None:
        return
    rule, by = world.changes.skip_by, decision.present
    would = {e.deployment_id: e for e in lane.overtaken(by, automatic_only, rule)}
    queue = {e.deployment_id: e for e in lane.queue()} if decision.skipped - would.keys() else would
    words = f"skipped by {by.deployment_id} ({by.version})"
    ruled = f"{CLAIM_RULE if automatic_only else SKIP_RULE}, by {rule}"
    for left in decision.skipped - would.keys():
        yield decision.otherwise("kept", words, "stays in the queue", ruled, queue[left])
    for stayed in would.keys() - decision.skipped - world.skipped:
        world.skipped.add(stayed)
        yield decision.otherwise("skipped", "stayed in the queue", words, ruled, would[stayed])


def scheduled(world: World, decision: Decision) -> Iterator[Difference]:
    """It entered its lane, which may be held."""
    lane = world.lane(decision.deployment)
    if lane and lane.held:
        yield from unheld(world, decision.recorded, lane, lane.held, [decision.present])


def rescheduled(world: World, decision: Decision) -> Iterator[Difference]:
    """It waits again, and may be skipped again."""
    world.skipped.discard(str(decision.deployment.id))
    yield from transition(world, decision)


def held(world: World, recorded: RecordedEvent, hold: Hold) -> Iterator[Difference]:
    """A rollback holds the lane."""
    lane: Lane | None = world.aggregates.get(recorded.stream_id)
    if lane:
        yield from unheld(world, recorded, lane, hold, list(lane.queue()))


def unheld(world: World, recorded: RecordedEvent, lane: Lane, hold: Hold, among: list[Entry]) -> Iterator[Difference]:
    """Who was held back and would not have been."""
    for entry in among:
        if hold.covers(entry) and not hold.covers(entry, world.changes.hold_by):
            was = f"held after the rollback of {hold.deployment_id}"
            rule = f"held-after-rollback, by {world.changes.hold_by}"
            yield difference(recorded, lane.taxonomy.name, entry, "allowed", was, "free to be claimed", rule)


def approved(world: World, decision: Decision) -> Iterator[Difference]:
    """Somebody approved it; whoever comes with which claims is not on record, so only the need is decided again."""
    one, entry = decision.deployment, decision.present
    asked = world.house(one, UNCHANGED).approval_for(entry.trigger, one.taxonomy, entry.environment)
    if asked and not world.house(one, world.changes).approval_for(entry.trigger, one.taxonomy, entry.environment):
        yield decision.otherwise("allowed", "needed an approval, and got it", "needs none", "approval")


DECISIONS: dict[type, Callable[[World, Decision], Iterator[Difference]]] = {
    Deployment.Scheduled: scheduled,
    Deployment.Started: started,
    Deployment.Claimed: claimed,
    Deployment.Deployed: deployed,
    Deployment.Rescheduled: rescheduled,
    Deployment.Approved: approved,
}
