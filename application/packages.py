"""Defining, filling, describing and deleting packages, and what is recorded of their exports."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4, uuid5

from application.execution import Work
from application.handlers import Follow, Turn
from application.jobs import RequestJob, request_job
from domain.errors import Clash, NotFound
from domain.job import Job
from domain.job_status import ENDED, JobStatus
from domain.package import Package
from domain.package_status import PackageStatus
from domain.packed import Packed

PACKING = "PACKAGE_PACKING"
DELETED = "The package was deleted"
ACTIONS = UUID("2d3b7c1a-9f4e-4c55-8a37-5b1d0c6e9a11")


@dataclass(frozen=True, slots=True)
class DefinePackage:
    """Have a new package packed. `dependencies` are ids of packages that are to be deployed before this one."""

    name: str
    version: str
    package_type: str
    environment: str
    selection: dict[str, Any]
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    dependencies: tuple[UUID, ...] = ()
    timeout_seconds: int = 3600
    package_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class ImportPackage:
    """Keep a package that came in a file, under a new id."""

    name: str
    version: str
    package_type: str
    packed: Packed
    environment: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    dependencies: tuple[UUID, ...] = ()
    original_id: str | None = None
    signed_by: str | None = None
    package_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class OfPackage:
    """Something about one package."""

    package_id: UUID


@dataclass(frozen=True, slots=True)
class DescribePackage:
    """Change what is said about a package: description, status, tags, metadata, as far as they are named."""

    package_id: UUID
    changes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordExport:
    """A file was made of a package; or, with an `error`, could not be."""

    package_id: UUID
    format: str
    size: int = 0
    sha256: str = ""
    records: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    action_id: UUID = field(default_factory=uuid4)


async def load_package(work: Work, package_id: UUID) -> Package:
    """The package, or NotFound; also for one that was deleted."""
    package = await work.load(Package, package_id)
    if package is None:
        raise NotFound("Package not found")
    package.check_there()
    return package


def place_of(name: str, version: str) -> str:
    """The key that a live package holds, so that its name and version are its own."""
    return f"package:{json.dumps([name, version])}"


async def define_package(work: Work, command: DefinePackage) -> str:
    """Answers the id of the package, which is also that of the job that packs it; Clash for a live double."""
    await check_dependencies(work, command.dependencies)
    package = Package.define(
        command.package_id,
        work.now,
        organisation=work.organisation,
        environment=command.environment,
        selection=command.selection,
        action_id=str(uuid5(ACTIONS, str(command.package_id))),
        **described(work, command),
    )
    enter(work, package)
    arguments = {"package_id": str(package.id), "environment": command.environment}
    job = RequestJob(PACKING, arguments, "pack", command.timeout_seconds, 3, priority=7, job_id=package.id)
    return await request_job(work, job)


async def import_package(work: Work, command: ImportPackage) -> str:
    """Answers the id of the package; Clash for a live double."""
    package = Package.import_(
        command.package_id,
        work.now,
        organisation=work.organisation,
        environment=command.environment,
        packed=command.packed,
        original_id=command.original_id,
        signed_by=command.signed_by,
        action_id=str(uuid5(ACTIONS, str(command.package_id))),
        **described(work, command),
    )
    enter(work, package)
    return str(package.id)


def described(work: Work, command: DefinePackage | ImportPackage) -> dict[str, Any]:
    """What both ways to get a package say about it."""
    return {
        "name": command.name,
        "version": command.version,
        "package_type": command.package_type,
        "description": command.description,
        "metadata": command.metadata,
        "dependencies": [str(one) for one in command.dependencies],
        "requested_by": work.actor,
    }


def enter(work: Work, package: Package) -> None:
    """Takes the name and the version for a new package."""
    name, version = package.name, package.version_name
    work.take(place_of(name, version), package, f"A package {name} {version} exists already")
    work.add(package)


async def check_dependencies(work: Work, dependencies: tuple[UUID, ...]) -> None:
    """NotFound names a dependency that is not there."""
    known = await work.load_all(Package, list(dependencies))
    for one in dependencies:
        if one not in known:
            raise NotFound(f"The package depends on pkg-{one}, which does not exist")


async def start_packing(work: Work, command: OfPackage) -> str:
    """Answers the package's id; its worker has begun."""
    package = await load_package(work, command.package_id)
    package.start_packing(work.now)
    return str(package.id)


async def packing_concerns(work: Work, job: Job) -> Follow:
    """How the job that packs ends is how its package becomes: full, or empty with its name free again."""
    package = await work.load(Package, UUID(job.arguments["package_id"]))

    def follow(turn: Turn) -> None:
        if package is None or turn.status is JobStatus.QUEUED:
            raise Clash("A package that could not be packed is created anew")
        if package.status is not PackageStatus.PACKING:
            return
        if turn.status is JobStatus.COMPLETED and turn.result:
            package.finish_packing(Packed(**turn.result["packed"]), work.now)
            return
        package.fail_packing(turn.why or str(turn.status), work.now)
        work.release(place_of(package.name, package.version_name))

    return follow


async def describe_package(work: Work, command: DescribePackage) -> str:
    """Answers the package's id."""
    package = await load_package(work, command.package_id)
    package.describe(command.changes, work.now)
    return str(package.id)


async def delete_package(work: Work, command: OfPackage) -> str:
    """Answers the package's id; its name and version are free again. Who still packs it is asked to stop."""
    package = await load_package(work, command.package_id)
    job = await work.load(Job, package.id) if package.status is PackageStatus.PACKING else None
    if job and job.status not in ENDED:
        job.cancel(DELETED, work.now)
    if package.status is not PackageStatus.FAILED:
        work.release(place_of(package.name, package.version_name))
    if package.status is PackageStatus.PACKING:
        package.fail_packing(DELETED, work.now)
    package.delete(work.now)
    return str(package.id)


async def record_export(work: Work, command: RecordExport) -> str:
    """Answers the package's id."""
    package = await load_package(work, command.package_id)
    facts: dict[str, Any] = {"action_id": str(command.action_id), "format": command.format}
    if command.error is None:
        facts |= {"size": command.size, "sha256": command.sha256, "records": command.records}
        package.record(Package.Exported, work.now, **facts)
    else:
        package.record(Package.ExportFailed, work.now, **facts, error=command.error)
    return str(package.id)
