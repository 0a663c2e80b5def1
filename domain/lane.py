"""A lane: the deployments that queue for one taxonomy; auto-skip, rollback and claims are decided here."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import NotFound
from domain.lane_rules import Entry as Entry
from domain.lane_rules import Hold as Hold
from domain.lane_rules import HoldBy, SkipBy
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy

RAN = frozenset({Status.IN_PROGRESS, Status.DEPLOYED, Status.FAILED, Status.ROLLED_BACK})
LIVE = (Status.SCHEDULED, Status.IN_PROGRESS, Status.DEPLOYED)


class Lane(BaseAggregate[UUID]):
    """Decides which of its deployments is next, which are superseded, and what to go back to."""

    TOPIC = "lane"

    class Event(AggregateEvent):
        """Something that happened in a lane."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Opened(Event, AggregateCreated):
        """The first deployment for this taxonomy arrived."""

        TOPIC = "lane.opened"
        organisation: str
        taxonomy: Taxonomy

    class Moved(Event):
        """A deployment entered the lane, or its status changed."""

        TOPIC = "lane.deployment_moved"
        entry: Entry

    class Superseded(Event):
        """Everything scheduled with a number under `below` left the queue for `by`; or the automatic ones only."""

        TOPIC = "lane.superseded"
        by: str
        below: int
        automatic_only: bool

    class Held(Event):
        """A rollback keeps automatic deployments back."""

        TOPIC = "lane.held"
        hold: Hold

    class Released(Event):
        """Somebody ended the hold."""

        TOPIC = "lane.released"
        reason: str | None

    @classmethod
    def open(cls, organisation: str, taxonomy: Taxonomy, at: datetime) -> "Lane":
        """A lane without deployments."""
        lane_id = taxonomy.lane_id(organisation)
        return cls._create(cls.Opened, id=lane_id, timestamp=at, organisation=organisation, taxonomy=taxonomy)

    def place(self, entry: Entry, at: datetime) -> None:
        """Records where a deployment is now."""
        self.trigger_event(self.Moved, timestamp=at, entry=entry)

    def supersede(self, by: Entry, at: datetime, automatic_only: bool = False) -> list[str]:
        """Empties the queue before `by`; answers which deployments were in it."""
        skipped = [e.deployment_id for e in self.overtaken(by, automatic_only)]
        if skipped:
            self.trigger_event(
                self.Superseded, timestamp=at, by=by.deployment_id, below=by.number, automatic_only=automatic_only
            )
        return skipped

    def hold(self, rolled_back: Entry, at: datetime) -> None:
        """Keeps automatic deployments of what was rolled back from, or older, out of claims."""
        hold = Hold(rolled_back.version, rolled_back.number, rolled_back.deployment_id)
        self.trigger_event(self.Held, timestamp=at, hold=hold)

    def release(self, reason: str | None, at: datetime) -> None:
        """Ends the hold; refused when there is none."""
        if self.held is None:
            raise NotFound("Nothing is held in this lane")
        self.trigger_event(self.Released, timestamp=at, reason=reason)

    def next_to_claim(self, may_start: Callable[[Entry], bool], hold_by: HoldBy = HoldBy.EITHER) -> Entry | None:
        """A queued rollback first, else the newest that may start; none while one is in progress."""
        if self.numbers[Status.IN_PROGRESS]:
            return None
        able = [e for e in self.queue() if may_start(e) and not (self.held and self.held.covers(e, hold_by))]
        rollbacks = [e for e in able if e.trigger is Trigger.ROLLBACK]
        return next(iter(rollbacks or able), None)

    def source(self, other_than: str | None, version: str | None, environment: str | None) -> Entry | None:
        """The newest deployment that is live now, other than the one named."""
        for number in reversed(self.numbers[Status.DEPLOYED]):
            entry = self.entries[number]
            if entry.deployment_id != other_than and fits(entry, version, environment):
                return entry
        return None

    def current(self, environment: str | None = None) -> Entry | None:
        """The newest deployment that ran or tried to."""
        return next((e for e in self.newest_ran() if fits(e, None, environment)), None)

    def queue(self) -> Iterator[Entry]:
        """What is scheduled, newest first."""
        return (self.entries[n] for n in reversed(self.numbers[Status.SCHEDULED]))

    def newest_ran(self) -> Iterator[Entry]:
        """What ran or tried to, newest first."""
        return (self.entries[n] for n in reversed(self.ran))

    def overtaken(self, by: Entry, automatic_only: bool, skip_by: SkipBy = SkipBy.AGE) -> list[Entry]:
        """What leaves the queue for `by`; only by age is it recorded so."""
        if skip_by is SkipBy.AGE:
            return self.waiting_before(by.number, automatic_only)
        waiting = [self.entries[n] for n in self.numbers[Status.SCHEDULED]]
        found = [e for e in waiting if e.is_overtaken(by, skip_by)]
        return [e for e in found if e.trigger is Trigger.AUTO] if automatic_only else found

    def waiting_before(self, number: int, automatic_only: bool) -> list[Entry]:
        """What is scheduled with a lower number."""
        waiting = self.numbers[Status.SCHEDULED]
        older = [self.entries[n] for n in waiting[: bisect_left(waiting, number)]]
        return [e for e in older if e.trigger is Trigger.AUTO] if automatic_only else older

    def __init__(self, organisation: str, taxonomy: Taxonomy) -> None:
        self.organisation = organisation
        self.taxonomy = taxonomy
        self.last_number = 0
        self.held: Hold | None = None
        self.entries: dict[int, Entry] = {}
        self.numbers: dict[Status, list[int]] = {status: [] for status in LIVE}
        self.ran: list[int] = []

    def remember(self, entry: Entry) -> None:
        """Files an entry under its number and status."""
        self.entries[entry.number] = entry
        if entry.status in self.numbers:
            insort(self.numbers[entry.status], entry.number)
        if entry.status in RAN:
            insort(self.ran, entry.number)

    def forget(self, number: int) -> None:
        """Takes an entry out of everything it is filed under."""
        if entry := self.entries.pop(number, None):
            if entry.status in self.numbers:
                discard(self.numbers[entry.status], number)
            if entry.status in RAN:
                discard(self.ran, number)

    def state(self) -> dict[str, Any]:
        """What a snapshot keeps: enough to be restored without the events before it."""
        return {
            "organisation": self.organisation,
            "taxonomy": self.taxonomy,
            "last_number": self.last_number,
            "held": self.held,
            "entries": list(self.entries.values()),
            "created_on": self.created_on,
            "modified_on": self.modified_on,
        }

    @classmethod
    def restore(cls, lane_id: UUID, version: int, state: dict[str, Any]) -> "Lane":
        """The lane as `state` says it was at `version`."""
        lane = cls.__new__(cls)
        lane.__base_init__(lane_id, version, datetime.fromisoformat(state["created_on"]))
        lane.modified_on = datetime.fromisoformat(state["modified_on"])
        lane.__init__(state["organisation"], Taxonomy(**state["taxonomy"]))  # type: ignore[misc]
        lane.last_number = state["last_number"]
        lane.held = Hold(**state["held"]) if state["held"] else None
        for one in state["entries"]:
            lane.remember(Entry(**one | {"status": Status(one["status"]), "trigger": Trigger(one["trigger"])}))
        return lane


@singledispatch
def evolve(event: AggregateEvent, lane: Lane) -> None:
    """How each event changes the state; what is not registered changes nothing that decisions need."""


@evolve.register
def _(event: Lane.Moved, lane: Lane) -> None:
    lane.forget(event.entry.number)
    lane.last_number = max(lane.last_number, event.entry.number)
    if event.entry.status in RAN or event.entry.status is Status.SCHEDULED:
        lane.remember(event.entry)


@evolve.register
def _(event: Lane.Superseded, lane: Lane) -> None:
    for entry in lane.waiting_before(event.below, event.automatic_only):
        lane.forget(entry.number)


@evolve.register
def _(event: Lane.Held, lane: Lane) -> None:
    lane.held = event.hold


@evolve.register
def _(event: Lane.Released, lane: Lane) -> None:
    lane.held = None


def fits(entry: Entry, version: str | None, environment: str | None) -> bool:
    """Whether an entry is of this version and environment, as far as they are named."""
    return (version is None or entry.version == version) and (environment is None or entry.environment == environment)


def discard(numbers: list[int], number: int) -> None:
    """Takes a number out of a sorted list."""
    del numbers[bisect_left(numbers, number)]
