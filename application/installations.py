"""What the jobs of deployments and rollbacks record while they work: who changes which installation, and what came of
the packages that another one depends on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from application.data_deployments import action_of, load_deployment, requested, watch_package
from application.execution import Work
from application.package_dependencies import in_order
from domain.data_deployment import DataDeployment
from domain.errors import Clash, NotFound
from domain.installation import Installation
from domain.job import Job
from domain.job_status import WAITING
from domain.package import Package
from domain.status import Status

THERE_ALREADY = ""


class Occupied(Clash):
    """Another job changes the same installation. `details["waits"]` is whether that one has nobody at work on it."""


@dataclass(frozen=True, slots=True)
class OfJob:
    """Something that the holder of a job says."""

    job_id: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class ChangeInstallation(OfJob):
    """A job begins to change what of a package is in an environment: it deploys, or takes back, this deployment."""

    deployment_id: UUID


@dataclass(frozen=True, slots=True)
class BeginDependency(OfJob):
    """A job begins to deploy a package that its own depends on."""

    package_id: UUID


@dataclass(frozen=True, slots=True)
class FinishDependency(OfJob):
    """A job has deployed a package that its own depends on; `told` is what the deployment's event says."""

    deployment_id: UUID
    told: Mapping[str, Any]


async def held_job(work: Work, command: OfJob) -> Job:
    """The job, which is still the caller's when the commit is made; LeaseLost otherwise."""
    if (job := await work.watch(Job, command.job_id)) is None:
        raise NotFound("Job not found")
    job.check_holder(command.fence)
    return job


async def start_deployment(work: Work, command: OfJob) -> str:
    """Answers the ids of the packages to be deployed, in order, the job's own last. A second start says nothing new."""
    job = await held_job(work, command)
    package = await watch_package(work, UUID(job.arguments["package_id"]))
    order = await in_order(work, package)
    if not job.arguments["options"]["dry_run"]:
        (await load_deployment(work, job.id)).start(work.now)
    return " ".join(str(one.id) for one in order)


async def missing_dependencies(work: Work, command: OfJob) -> str:
    """Answers the ids of the packages that the job's own depends on and that are not there; records nothing."""
    job = await held_job(work, command)
    *needed, _ = await in_order(work, await watch_package(work, UUID(job.arguments["package_id"])))
    lacking = []
    for one in needed:
        installation = await installation_of(work, job.arguments["environment"], one.name)
        if installation is None or not await is_there(work, installation, one):
            lacking.append(str(one.id))
    return " ".join(lacking)


async def change_installation(work: Work, command: ChangeInstallation) -> str:
    """Answers the deployment's id; Occupied while another job changes the same installation."""
    await held_job(work, command)
    deployment = await load_deployment(work, command.deployment_id)
    installation = await open_installation(work, deployment.environment, deployment.package)
    await refuse_occupied(work, installation, command.job_id)
    installation.occupy(command.job_id, work.now)
    return str(deployment.id)


async def refuse_covered(work: Work, command: ChangeInstallation) -> str:
    """Answers the deployment's id; Clash when a later one came above it since its rollback was asked for, unless that
    is forced. Only the job that changes the installation may ask: then the answer holds."""
    job = await held_job(work, command)
    deployment = await load_deployment(work, command.deployment_id)
    installation = await open_installation(work, deployment.environment, deployment.package)
    installation.check_holder(command.job_id)
    if not job.arguments["force"]:
        installation.check_on_top(deployment.id)
    return str(deployment.id)


async def begin_dependency(work: Work, command: BeginDependency) -> str:
    """Answers the id of the deployment, THERE_ALREADY where none is needed; Occupied while another job changes the same
    installation."""
    await held_job(work, command)
    main = await load_deployment(work, command.job_id)
    if (package := await work.watch(Package, command.package_id)) is None:
        raise NotFound("Package not found")
    installation = await open_installation(work, main.environment, package.name)
    await refuse_occupied(work, installation, command.job_id)
    if await is_there(work, installation, package):
        return THERE_ALREADY
    deployment_id, deployment = await part_of(work, main.id, package.id)
    package.contents()
    if deployment is None:
        same = {"environment": main.environment, "options": main.options, "requested_by": main.requested_by}
        deployment = requested(work, package, deployment_id, package_id=str(package.id), due_at=None, **same)
        work.add(deployment)
    elif not deployment.is_open:
        deployment.request_again(action_of(deployment.id, deployment.version + 1), main.requested_by, work.now)
    installation.occupy(command.job_id, work.now)
    deployment.start(work.now)
    return str(deployment_id)


async def finish_dependency(work: Work, command: FinishDependency) -> str:
    """Answers the deployment's id."""
    await held_job(work, command)
    deployment = await load_deployment(work, command.deployment_id)
    installation = await open_installation(work, deployment.environment, deployment.package)
    before = await on_top(work, installation)
    succeed(deployment, installation, before, command.job_id, command.told, work.now)
    return str(deployment.id)


def succeed(
    deployment: DataDeployment,
    installation: Installation,
    before: DataDeployment | None,
    job_id: UUID,
    told: Mapping[str, Any],
    at: datetime,
) -> None:
    """The deployment is there, above the one that was on top before."""
    deployment.succeed(at, **told)
    installation.top(job_id, deployment.id, at)
    if before:
        before.be_replaced(deployment.id, at)


async def installation_of(work: Work, environment: str, package: str) -> Installation | None:
    """What of a package is in an environment, None before the first deployment."""
    return await work.load(Installation, Installation.id_of(work.organisation, environment, package))


async def open_installation(work: Work, environment: str, package: str) -> Installation:
    """What of a package is in an environment; a new one is recorded with the first thing that happens to it."""
    if found := await installation_of(work, environment, package):
        return found
    installation = Installation.open(work.now, work.organisation, environment, package)
    work.add(installation)
    return installation


async def refuse_occupied(work: Work, installation: Installation, job_id: UUID) -> None:
    """Occupied while another job changes it."""
    if installation.holder in (None, job_id):
        return
    holder = await work.load(Job, installation.holder)
    waits = holder is not None and holder.status in WAITING
    raise Occupied("Another deployment or rollback of this package is changing this environment", waits=waits)


async def on_top(work: Work, installation: Installation | None) -> DataDeployment | None:
    """The newest deployment that is there."""
    return await work.load(DataDeployment, installation.active) if installation and installation.active else None


async def is_there(work: Work, installation: Installation, package: Package) -> bool:
    """Whether this version of the package was deployed there and not taken back; later ones may lie above it."""
    there = await work.load_all(DataDeployment, installation.deployments)
    return any(one.package_id == str(package.id) for one in there.values())


async def part_of(work: Work, main: UUID, package_id: UUID) -> tuple[UUID, DataDeployment | None]:
    """The deployment of a package that another one depends on. One that was taken back is followed by another."""
    deployment_id = uuid5(main, str(package_id))
    while (found := await work.load(DataDeployment, deployment_id)) and found.status is Status.ROLLED_BACK:
        deployment_id = uuid5(deployment_id, str(package_id))
    return deployment_id, found
