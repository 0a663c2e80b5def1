"""A data deployment: one package on its way into one environment, and perhaps out of it again."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Clash
from domain.status import Status

Counts = dict[str, dict[str, int]]


class DataDeployment(BaseAggregate[UUID]):
    """Decides how a data deployment may end, and whether it may be taken back. It has the id of the job that does it.

    Each try, also at taking it back, is an action of its own: `action_id`. `tables` counts rows by what became of them.
    """

    TOPIC = "data_deployment"

    class Event(AggregateEvent):
        """Something that happened to a data deployment."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Requested(Event, AggregateCreated):
        """Somebody wants it. `due_at` is when at the earliest (ISO 8601), None at once."""

        TOPIC = "data_deployment.requested"
        organisation: str
        package_id: str
        package: str
        version: str
        environment: str
        options: dict[str, Any]
        due_at: str | None
        action_id: str
        requested_by: str

    class RequestedAgain(Event):
        """It failed or was cancelled, and somebody wants another try."""

        TOPIC = "data_deployment.requested_again"
        package_id: str
        environment: str
        options: dict[str, Any]
        action_id: str
        requested_by: str

    class Started(Event):
        """A worker began."""

        TOPIC = "data_deployment.started"
        action_id: str

    class Deployed(Event):
        """The rows are there. By table `keys` maps some keys, `mapped` counts all; the blob `kept`, if any, has all."""

        TOPIC = "data_deployment.deployed"
        class_version = 2
        action_id: str
        database_name: str
        tables: Counts
        keys: dict[str, dict[str, str]]
        mapped: dict[str, int]
        warnings: list[str]
        kept: str | None = None

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["kept"] = None

    class Failed(Event):
        """Nothing of it is there."""

        TOPIC = "data_deployment.failed"
        action_id: str
        error: str

    class Cancelled(Event):
        """It was stopped, or never begun; nothing of it is there."""

        TOPIC = "data_deployment.cancelled"
        action_id: str
        reason: str | None

    class Replaced(Event):
        """A later deployment of the same package went into the same environment."""

        TOPIC = "data_deployment.replaced"
        by: str

    class Reinstated(Event):
        """The deployment that had replaced it was taken back."""

        TOPIC = "data_deployment.reinstated"
        after: str

    class RollbackRequested(Event):
        """Somebody wants it taken back; with `force` also where later writes are lost."""

        TOPIC = "data_deployment.rollback_requested"
        package_id: str
        environment: str
        action_id: str
        reason: str | None
        force: bool
        requested_by: str

    class RollbackFailed(Event):
        """It is there as before; so it is after a rollback that was cancelled."""

        TOPIC = "data_deployment.rollback_failed"
        action_id: str
        error: str

    class RolledBack(Event):
        """What it inserted is gone, and what it changed is as it was before."""

        TOPIC = "data_deployment.rolled_back"
        action_id: str
        tables: Counts

    @classmethod
    def request(cls, deployment_id: UUID, at: datetime, **facts: Any) -> "DataDeployment":
        """A new data deployment, waiting."""
        return cls._create(cls.Requested, id=deployment_id, timestamp=at, **facts)

    def start(self, at: datetime) -> None:
        """Records the first try; a further one records nothing."""
        self.check_open()
        if self.status is Status.SCHEDULED:
            self.trigger_event(self.Started, timestamp=at, action_id=self.action)

    def request_again(self, action_id: str, requested_by: str, at: datetime) -> None:
        """Lets it wait again; Clash unless it failed or was cancelled."""
        if self.status not in (Status.FAILED, Status.CANCELLED):
            raise Clash(f"The deployment is {self.status}")
        facts = {"package_id": self.package_id, "environment": self.environment, "options": self.options}
        self.trigger_event(self.RequestedAgain, timestamp=at, action_id=action_id, requested_by=requested_by, **facts)

    def succeed(self, at: datetime, **facts: Any) -> None:
        """Records what was done."""
        self.check_open()
        self.trigger_event(self.Deployed, timestamp=at, action_id=self.action, **facts)

    def fail(self, error: str, at: datetime) -> None:
        """Records why nothing was done."""
        self.check_open()
        self.trigger_event(self.Failed, timestamp=at, action_id=self.action, error=error)

    def cancel(self, reason: str | None, at: datetime) -> None:
        """Records that it was called off."""
        self.check_open()
        self.trigger_event(self.Cancelled, timestamp=at, action_id=self.action, reason=reason)

    def be_replaced(self, by: UUID, at: datetime) -> None:
        """A later one is on top."""
        self.trigger_event(self.Replaced, timestamp=at, by=str(by))

    def be_reinstated(self, after: UUID, at: datetime) -> None:
        """The later one is gone."""
        self.trigger_event(self.Reinstated, timestamp=at, after=str(after))

    def request_rollback(self, at: datetime, **facts: Any) -> None:
        """Takes it back; Clash unless it is there and nobody takes it back already."""
        if self.status is not Status.DEPLOYED:
            raise Clash(f"Only what is deployed can be rolled back; this deployment is {self.status}")
        if self.rollback:
            raise Clash("The deployment is being rolled back already")
        where = {"package_id": self.package_id, "environment": self.environment}
        self.trigger_event(self.RollbackRequested, timestamp=at, **where, **facts)

    def fail_rollback(self, error: str, at: datetime) -> None:
        """Records why it is still there."""
        self.check_rollback()
        self.trigger_event(self.RollbackFailed, timestamp=at, action_id=self.rollback, error=error)

    def roll_back(self, tables: Counts, at: datetime) -> None:
        """Records that it is gone."""
        self.check_rollback()
        self.trigger_event(self.RolledBack, timestamp=at, action_id=self.rollback, tables=tables)

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.status in (Status.SCHEDULED, Status.IN_PROGRESS)

    def check_open(self) -> None:
        """Clash when it has ended."""
        if not self.is_open:
            raise Clash(f"The deployment has ended: it is {self.status}")

    def check_rollback(self) -> None:
        """Clash unless it is being taken back."""
        if self.rollback is None:
            raise Clash("The deployment is not being rolled back")

    def __init__(
        self,
        organisation: str,
        package_id: str,
        package: str,
        version: str,
        environment: str,
        options: dict[str, Any],
        action_id: str,
        requested_by: str,
    ) -> None:
        self.organisation = organisation
        self.package_id = package_id
        self.package = package
        self.version_name = version
        self.environment = environment
        self.options = options
        self.action = action_id
        self.requested_by = requested_by
        self.status = Status.SCHEDULED
        self.rollback: str | None = None


BECOMES: dict[type[AggregateEvent], Status] = {
    DataDeployment.Started: Status.IN_PROGRESS,
    DataDeployment.Deployed: Status.DEPLOYED,
    DataDeployment.Failed: Status.FAILED,
    DataDeployment.Cancelled: Status.CANCELLED,
    DataDeployment.RolledBack: Status.ROLLED_BACK,
}


@singledispatch
def evolve(event: AggregateEvent, deployment: DataDeployment) -> None:
    """How each event changes the state; replacing changes nothing that decisions need."""
    if status := BECOMES.get(type(event)):
        deployment.status, deployment.rollback = status, None


@evolve.register
def _(event: DataDeployment.RequestedAgain, deployment: DataDeployment) -> None:
    deployment.status, deployment.action = Status.SCHEDULED, event.action_id


@evolve.register
def _(event: DataDeployment.RollbackRequested | DataDeployment.RollbackFailed, deployment: DataDeployment) -> None:
    deployment.rollback = event.action_id if isinstance(event, DataDeployment.RollbackRequested) else None
