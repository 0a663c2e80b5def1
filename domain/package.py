"""A package: rows or documents that were taken out of one environment, to be deployed to others."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Clash, NotFound
from domain.package_status import PackageStatus
from domain.packed import Packed


class Package(BaseAggregate[UUID]):
    """Decides what may be done with a package. What it holds lies in blobs; events name them by their digests.

    Each event that is, or ends, an entry of the action history has that entry's `action_id`.
    """

    TOPIC = "package"

    class Event(AggregateEvent):
        """Something that happened to a package."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Defined(Event, AggregateCreated):
        """Somebody wants it packed. `selection` is what was asked for, as it was asked, with no secret in it."""

        TOPIC = "package.defined"
        organisation: str
        name: str
        version: str
        package_type: str
        description: str | None
        environment: str
        selection: dict[str, Any]
        metadata: dict[str, Any]
        dependencies: list[str]
        action_id: str
        requested_by: str

    class Imported(Event, AggregateCreated):
        """It came from elsewhere. `original_id` and `signed_by` are what its file says; the latter was verified, and is
        None for a file that nobody signed."""

        TOPIC = "package.imported"
        organisation: str
        name: str
        version: str
        package_type: str
        description: str | None
        environment: str | None
        metadata: dict[str, Any]
        dependencies: list[str]
        packed: Packed
        original_id: str | None
        signed_by: str | None
        action_id: str
        requested_by: str

    class PackingStarted(Event):
        """A worker began to pack it."""

        TOPIC = "package.packing_started"
        action_id: str

    class PackingFinished(Event):
        """It holds what was asked for."""

        TOPIC = "package.packing_finished"
        action_id: str
        packed: Packed

    class PackingFailed(Event):
        """It holds nothing, and its name is free again."""

        TOPIC = "package.packing_failed"
        action_id: str
        error: str

    class Described(Event):
        """What is said about it changed; only what changed is in `changes`."""

        TOPIC = "package.described"
        changes: dict[str, Any]

    class ExportRequested(Event):
        """A job is to make a file of it. `options` are what was asked for."""

        TOPIC = "package.export_requested"
        action_id: str
        options: dict[str, Any]
        requested_by: str

    class ExportStarted(Event):
        """A worker began to make the file; each of its tries is told."""

        TOPIC = "package.export_started"
        action_id: str

    class Exported(Event):
        """A file was made of it: `sha256` and `size` (bytes) are the file's."""

        TOPIC = "package.exported"
        action_id: str
        format: str
        size: int
        sha256: str
        records: dict[str, int]

    class ExportFailed(Event):
        """No file came of it."""

        TOPIC = "package.export_failed"
        action_id: str
        format: str
        error: str

    class Validated(Event):
        """It was tried on an environment without leaving anything there. `error` is why it cannot be deployed there."""

        TOPIC = "package.validated"
        action_id: str
        environment: str
        options: dict[str, Any]
        tables: dict[str, dict[str, int]]
        error: str | None
        requested_by: str

    class Deleted(Event):
        """Nobody sees it any more, and its name is free again."""

        TOPIC = "package.deleted"

    @classmethod
    def define(cls, package_id: UUID, at: datetime, **facts: Any) -> "Package":
        """A new package that is yet to be packed."""
        return cls._create(cls.Defined, id=package_id, timestamp=at, **facts)

    @classmethod
    def import_(cls, package_id: UUID, at: datetime, **facts: Any) -> "Package":
        """A new package with what a file held."""
        return cls._create(cls.Imported, id=package_id, timestamp=at, **facts)

    def start_packing(self, at: datetime) -> None:
        """Records the first try; a further one records nothing."""
        if self.status is PackageStatus.PACKING and not self.packing_started:
            self.trigger_event(self.PackingStarted, timestamp=at, action_id=self.packing)

    def finish_packing(self, packed: Packed, at: datetime) -> None:
        """Fills it; refused when it was deleted meanwhile."""
        self.check_packing()
        self.trigger_event(self.PackingFinished, timestamp=at, action_id=self.packing, packed=packed)

    def fail_packing(self, error: str, at: datetime) -> None:
        """Leaves it empty."""
        self.check_packing()
        self.trigger_event(self.PackingFailed, timestamp=at, action_id=self.packing, error=error)

    def describe(self, changes: dict[str, Any], at: datetime) -> None:
        """Changes description, status, tags or metadata, as far as they are named."""
        self.check_there()
        if "status" in changes and self.packed is None:
            raise Clash(f"The package is {self.status}")
        self.trigger_event(self.Described, timestamp=at, changes=changes)

    def request_export(self, at: datetime, **facts: Any) -> None:
        """Has a job make a file; Clash when there is nothing to put into it."""
        self.contents()
        self.trigger_event(self.ExportRequested, timestamp=at, **facts)

    def record(self, kind: type[Event], at: datetime, **facts: Any) -> None:
        """Adds to its history what was tried or made of it; no decision rests on that."""
        self.trigger_event(kind, timestamp=at, **facts)

    def delete(self, at: datetime) -> None:
        """Hides it for good."""
        self.check_there()
        self.trigger_event(self.Deleted, timestamp=at)

    def check_there(self) -> None:
        """NotFound for what was deleted."""
        if self.status is PackageStatus.DELETED:
            raise NotFound("Package not found")

    def check_packing(self) -> None:
        """Clash unless it is being packed."""
        if self.status is not PackageStatus.PACKING:
            raise Clash(f"The package is {self.status}")

    def contents(self) -> Packed:
        """What it holds; NotFound when it was deleted, Clash when it holds nothing."""
        self.check_there()
        if self.packed is None:
            raise Clash(f"The package holds nothing: it is {self.status}")
        return self.packed

    def __init__(
        self,
        organisation: str,
        name: str,
        version: str,
        package_type: str,
        description: str | None,
        metadata: dict[str, Any],
        dependencies: list[str],
        action_id: str,
        requested_by: str,
        selection: dict[str, Any] | None = None,
    ) -> None:
        self.organisation, self.requested_by = organisation, requested_by
        self.name, self.version_name = name, version
        self.package_type, self.description = package_type, description
        self.metadata, self.dependencies = metadata, dependencies
        self.selection = selection or {}
        self.packing, self.packing_started = action_id, False
        self.status = PackageStatus.PACKING
        self.packed: Packed | None = None


@singledispatch
def evolve(event: AggregateEvent, package: Package) -> None:
    """How each event changes the state; what is only history changes nothing."""


@evolve.register
def _(event: Package.Imported | Package.PackingFinished, package: Package) -> None:
    package.status, package.packed = PackageStatus.ACTIVE, event.packed


@evolve.register
def _(event: Package.PackingStarted, package: Package) -> None:
    package.packing_started = True


@evolve.register
def _(event: Package.Described, package: Package) -> None:
    package.status = PackageStatus(event.changes.get("status", package.status))


@evolve.register
def _(event: Package.PackingFailed | Package.Deleted, package: Package) -> None:
    failed = isinstance(event, Package.PackingFailed)
    package.status = PackageStatus.FAILED if failed else PackageStatus.DELETED
