"""A deployment: one release on its way to one target, from scheduled to its end."""

from datetime import UTC, datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Clash, Forbidden, Invalid, LeaseLost
from domain.release import Release
from domain.status import STRICT, Status, Trigger
from domain.taxonomy import Taxonomy


class Deployment(BaseAggregate[UUID]):
    """Decides what may happen to one deployment, and remembers what did."""

    TOPIC = "deployment"

    class Event(AggregateEvent):
        """Something that happened to a deployment."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Scheduled(Event, AggregateCreated):
        """It entered its lane as number `number` (from 1, in order of arrival)."""

        TOPIC = "deployment.scheduled"
        organisation: str
        taxonomy: Taxonomy
        release: Release
        number: int
        trigger: str
        notes: str | None
        deployment_uri: str | None
        source_deployment_id: str | None
        rollback_from_deployment_id: str | None
        requested_by: str
        created_by_repo: str
        created_by_workflow: str

    class Started(Event):
        """It runs. `override` is why that was allowed during a freeze."""

        TOPIC = "deployment.started"
        override: str | None

    class Claimed(Event):
        """A runner took it under a lease. `fence` grows with every claim."""

        TOPIC = "deployment.claimed"
        runner: str
        fence: int
        lease_until: str
        override: str | None

    class ClaimLapsed(Event):
        """Its runner was not heard of in time: it waits again."""

        TOPIC = "deployment.claim_lapsed"
        fence: int

    class Deployed(Event):
        """It is live."""

        TOPIC = "deployment.deployed"

    class Failed(Event):
        """It did not go live."""

        TOPIC = "deployment.failed"

    class Skipped(Event):
        """It will not run. `skipped_by` is the deployment that superseded it, `rule` the reason."""

        TOPIC = "deployment.skipped"
        skipped_by: str | None
        rule: str

    class Cancelled(Event):
        """It was called off."""

        TOPIC = "deployment.cancelled"

    class RolledBack(Event):
        """It was live, or tried to be, and was replaced by `replaced_by`."""

        TOPIC = "deployment.rolled_back"
        replaced_by: str | None

    class Rescheduled(Event):
        """It waits again."""

        TOPIC = "deployment.rescheduled"

    class Annotated(Event):
        """Its notes or its URI changed; only what changed is in `changes`."""

        TOPIC = "deployment.annotated"
        changes: dict[str, str | None]

    class Approved(Event):
        """Somebody who may said yes."""

        TOPIC = "deployment.approved"
        reason: str | None

    class Corrected(Event):
        """It really went live at another moment (ISO 8601 in UTC) than was recorded first."""

        TOPIC = "deployment.corrected"
        went_live_at: str
        reason: str

    @classmethod
    def schedule(cls, deployment_id: UUID, at: datetime, **facts: Any) -> "Deployment":
        """A new deployment, waiting."""
        return cls._create(cls.Scheduled, id=deployment_id, timestamp=at, **facts)

    def report(self, status: Status, at: datetime, strict: bool = False, override: str | None = None) -> None:
        """Records what somebody says has become of it. Any status may follow any other, unless `strict`."""
        if strict:
            check_transition(self.status, status)
        event_class, facts = REPORTS[status]
        if status is Status.IN_PROGRESS:
            facts = {"override": override}
        self.trigger_event(event_class, timestamp=at, **facts)

    def annotate(self, changes: dict[str, str | None], at: datetime) -> None:
        """Changes `notes` and `deployment_uri`, as far as they are named."""
        self.trigger_event(self.Annotated, timestamp=at, changes=changes)

    def skip(self, at: datetime, skipped_by: str, rule: str) -> None:
        """Takes it out of the queue because another deployment superseded it."""
        self.trigger_event(self.Skipped, timestamp=at, skipped_by=skipped_by, rule=rule)

    def roll_back(self, at: datetime, replaced_by: str) -> None:
        """Records that `replaced_by` takes its place."""
        self.trigger_event(self.RolledBack, timestamp=at, replaced_by=replaced_by)

    def approve(self, approver: str, at: datetime, reason: str | None, own_allowed: bool = False) -> None:
        """`approver` and the requester are pseudonyms; nobody approves what they asked for."""
        if approver == self.requested_by and not own_allowed:
            raise Forbidden("Nobody can approve a deployment of their own")
        if self.status is not Status.SCHEDULED:
            raise Clash(f"Only a scheduled deployment can be approved; this one is {self.status}")
        self.trigger_event(self.Approved, timestamp=at, reason=reason)

    def correct(self, went_live_at: datetime, reason: str, at: datetime) -> None:
        """Says when it really went live; what was believed before stays on record."""
        if not self.went_live:
            raise Clash("A deployment that never went live has no such moment to correct")
        if went_live_at > at:
            raise Invalid("went_live_at is in the future")
        moment = went_live_at.astimezone(UTC).isoformat(timespec="microseconds")
        self.trigger_event(self.Corrected, timestamp=at, went_live_at=moment, reason=reason)

    def claim(
        self, runner: str, at: datetime, lease_until: datetime, override: str | None = None, fences_above: int = 0
    ) -> None:
        """Hands it to a runner until `lease_until`, unless a heartbeat prolongs that.

        Its fence is beyond `fences_above`: those up to there may be known to runners of a past that was undone.
        """
        facts = {"runner": runner, "lease_until": lease_until.isoformat(), "override": override}
        self.trigger_event(self.Claimed, timestamp=at, fence=max(self.fence, fences_above) + 1, **facts)

    def lapse(self, fence: int, at: datetime) -> None:
        """Ends a claim whose runner is silent; refused when another claim or an outcome came first."""
        self.check_fence(fence)
        self.trigger_event(self.ClaimLapsed, timestamp=at, fence=fence)

    def check_fence(self, fence: int) -> None:
        """Refuses what a runner says after its claim has ended."""
        if fence != self.fence or not self.claimed:
            raise LeaseLost("The lease on this deployment has ended")

    def __init__(
        self, organisation: str, taxonomy: Taxonomy, release: Release, number: int, trigger: str, requested_by: str
    ) -> None:
        self.organisation = organisation
        self.taxonomy = taxonomy
        self.release = release
        self.number = number
        self.trigger = Trigger(trigger)
        self.requested_by = requested_by
        self.status = Status.SCHEDULED
        self.fence = 0
        self.claimed = False
        self.approved = False
        self.went_live = False

    def become(self, status: Status) -> None:
        """Any outcome or new start ends a claim."""
        self.status = status
        self.claimed = False
        self.went_live = self.went_live or status is Status.DEPLOYED


BECOMES: dict[type[AggregateEvent], Status] = {
    Deployment.Started: Status.IN_PROGRESS,
    Deployment.ClaimLapsed: Status.SCHEDULED,
    Deployment.Deployed: Status.DEPLOYED,
    Deployment.Failed: Status.FAILED,
    Deployment.Skipped: Status.SKIPPED,
    Deployment.Cancelled: Status.CANCELLED,
    Deployment.RolledBack: Status.ROLLED_BACK,
    Deployment.Rescheduled: Status.SCHEDULED,
}


@singledispatch
def evolve(event: AggregateEvent, deployment: Deployment) -> None:
    """How each event changes the state: most say what it becomes, some change nothing that decisions need."""
    if status := BECOMES.get(type(event)):
        deployment.become(status)


@evolve.register
def _(event: Deployment.Claimed, deployment: Deployment) -> None:
    deployment.become(Status.IN_PROGRESS)
    deployment.fence = event.fence
    deployment.claimed = True


@evolve.register
def _(event: Deployment.Approved, deployment: Deployment) -> None:
    deployment.approved = True


def check_transition(present: Status, status: Status) -> None:
    """Refuses what cannot follow where an organisation asks for strict transitions."""
    if status != present and status not in STRICT[present]:
        raise Clash(f"A deployment that is {present} cannot become {status}")


REPORTS: dict[Status, tuple[type[Deployment.Event], dict[str, Any]]] = {
    Status.SCHEDULED: (Deployment.Rescheduled, {}),
    Status.IN_PROGRESS: (Deployment.Started, {"override": None}),
    Status.DEPLOYED: (Deployment.Deployed, {}),
    Status.SKIPPED: (Deployment.Skipped, {"skipped_by": None, "rule": "reported"}),
    Status.FAILED: (Deployment.Failed, {}),
    Status.ROLLED_BACK: (Deployment.RolledBack, {"replaced_by": None}),
    Status.CANCELLED: (Deployment.Cancelled, {}),
}
