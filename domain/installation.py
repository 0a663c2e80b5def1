"""An installation: what of one package is in one environment, and who is changing that now."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Clash

NAMESPACE = UUID("6f0c1f7c-5a0e-4a38-9a0a-0d7c1f1b6c52")


class Installation(BaseAggregate[UUID]):
    """Decides that one deployment or rollback at a time changes it, and which deployment is on top afterwards."""

    TOPIC = "installation"

    class Event(AggregateEvent):
        """Something that happened to an installation."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Opened(Event, AggregateCreated):
        """The first deployment of this package to this environment began."""

        TOPIC = "installation.opened"
        organisation: str
        environment: str
        package: str

    class Occupied(Event):
        """A job has begun to change it; others wait."""

        TOPIC = "installation.occupied"
        job_id: str

    class Left(Event):
        """The job changed nothing."""

        TOPIC = "installation.left"
        job_id: str

    class Topped(Event):
        """The job has put a deployment on top of those before."""

        TOPIC = "installation.topped"
        job_id: str
        deployment_id: str

    class Uncovered(Event):
        """The job has taken a deployment back; those before it are what is there."""

        TOPIC = "installation.uncovered"
        job_id: str
        deployment_id: str

    @classmethod
    def id_of(cls, organisation: str, environment: str, package: str) -> UUID:
        """Each package has one installation in each environment."""
        return uuid5(NAMESPACE, "\0".join((organisation, environment, package)))

    @classmethod
    def open(cls, at: datetime, organisation: str, environment: str, package: str) -> "Installation":
        """A new installation, empty."""
        installation_id = cls.id_of(organisation, environment, package)
        facts = {"organisation": organisation, "environment": environment, "package": package}
        return cls._create(cls.Opened, id=installation_id, timestamp=at, **facts)

    def occupy(self, job_id: UUID, at: datetime) -> None:
        """Lets a job change it; a second time says nothing new. Clash while another job does."""
        if self.holder not in (None, job_id):
            raise Clash("Another deployment or rollback of this package is changing this environment")
        if self.holder is None:
            self.trigger_event(self.Occupied, timestamp=at, job_id=str(job_id))

    def leave(self, job_id: UUID, at: datetime) -> None:
        """Ends what a job began without an outcome; nothing if it never began."""
        if self.holder == job_id:
            self.trigger_event(self.Left, timestamp=at, job_id=str(job_id))

    def top(self, job_id: UUID, deployment_id: UUID, at: datetime) -> None:
        """Puts a deployment on top."""
        self.check_holder(job_id)
        self.trigger_event(self.Topped, timestamp=at, job_id=str(job_id), deployment_id=str(deployment_id))

    def uncover(self, job_id: UUID, deployment_id: UUID, at: datetime) -> None:
        """Takes a deployment out, wherever it is."""
        self.check_holder(job_id)
        self.trigger_event(self.Uncovered, timestamp=at, job_id=str(job_id), deployment_id=str(deployment_id))

    def check_holder(self, job_id: UUID) -> None:
        """Clash for a job that does not hold it."""
        if self.holder != job_id:
            raise Clash("The job does not hold this installation")

    def check_on_top(self, deployment_id: UUID) -> None:
        """Clash when a deployment that is there lies below a later one, which may count on what it brought."""
        if deployment_id in self.deployments and self.active != deployment_id:
            raise Clash(f"deploy-{self.active} came later: roll that one back first, or force the rollback")

    @property
    def active(self) -> UUID | None:
        """The deployment on top."""
        return self.deployments[-1] if self.deployments else None

    def __init__(self, organisation: str, environment: str, package: str) -> None:
        self.organisation = organisation
        self.environment = environment
        self.package = package
        self.holder: UUID | None = None
        self.deployments: list[UUID] = []


@singledispatch
def evolve(event: AggregateEvent, installation: Installation) -> None:
    """How each event changes the state."""


@evolve.register
def _(event: Installation.Occupied, installation: Installation) -> None:
    installation.holder = UUID(event.job_id)


@evolve.register
def _(event: Installation.Left, installation: Installation) -> None:
    installation.holder = None


@evolve.register
def _(event: Installation.Topped, installation: Installation) -> None:
    installation.holder = None
    installation.deployments.append(UUID(event.deployment_id))


@evolve.register
def _(event: Installation.Uncovered, installation: Installation) -> None:
    installation.holder = None
    installation.deployments.remove(UUID(event.deployment_id))
