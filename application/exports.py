"""Having files made of packages by jobs, and what is recorded of that."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4, uuid5

from application.execution import Work
from application.handlers import Follow, Turn
from application.job_ends import load_job
from application.jobs import RequestJob, request_job
from application.packages import ACTIONS, load_package
from domain.errors import Clash
from domain.job import Job
from domain.job_status import JobStatus
from domain.package import Package

GENERATING = "PACKAGE_GENERATION"
PREFIX = "generate"
TRIES_AFTER_THE_FIRST = 3


@dataclass(frozen=True, slots=True)
class RequestExport:
    """Have a file made of a package. `options` are its format, and which rows of which tables it is to hold."""

    package_id: UUID
    options: dict[str, Any]
    timeout_seconds: int = 3600
    job_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class StartExport:
    """A worker begins a try at making the file."""

    package_id: UUID
    job_id: UUID
    fence: int


def action_of(job_id: UUID) -> str:
    """The id of the action that a job is."""
    return str(uuid5(ACTIONS, str(job_id)))


async def request_export(work: Work, command: RequestExport) -> str:
    """Answers the id of the job; Clash when the package holds nothing."""
    package = await load_package(work, command.package_id)
    action_id = action_of(command.job_id)
    package.request_export(work.now, action_id=action_id, options=command.options, requested_by=work.actor)
    arguments = {"package_id": str(package.id), **command.options}
    tries = TRIES_AFTER_THE_FIRST
    job = RequestJob(GENERATING, arguments, PREFIX, command.timeout_seconds, tries, job_id=command.job_id)
    return await request_job(work, job)


async def start_export(work: Work, command: StartExport) -> str:
    """Answers the id of the action; LeaseLost when the try is no longer the worker's."""
    package = await load_package(work, command.package_id)
    job = await work.watch(Job, command.job_id) or await load_job(work, command.job_id)
    job.check_holder(command.fence)
    package.record(Package.ExportStarted, work.now, action_id=action_of(job.id))
    return action_of(job.id)


async def generating_concerns(work: Work, job: Job) -> Follow:
    """How the job ends is how the export does."""
    package = await work.load(Package, UUID(job.arguments["package_id"]))

    def follow(turn: Turn) -> None:
        if turn.status is JobStatus.QUEUED:
            raise Clash("A file that could not be made is asked for anew")
        if package is None:
            return
        facts: dict[str, Any] = {"action_id": action_of(job.id), "format": job.arguments["format"]}
        if made := turn.result:
            facts |= {"size": made["size_bytes"], "sha256": made["checksum"], "records": made["records"]}
            package.record(Package.Exported, work.now, **facts)
        else:
            package.record(Package.ExportFailed, work.now, **facts, error=turn.why or str(turn.status))

    return follow
