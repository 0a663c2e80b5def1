"""Having packages deployed to environments, and having that taken back."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from application.execution import Work
from application.jobs import RequestJob, request_job
from application.package_dependencies import in_order
from application.packages import ACTIONS
from domain.data_deployment import DataDeployment
from domain.errors import NotFound
from domain.installation import Installation
from domain.package import Package

DEPLOYING = "PACKAGE_DEPLOYMENT"
ROLLING_BACK = "PACKAGE_ROLLBACK"
TRIES_AFTER_THE_FIRST = 3
# Somebody waits for these.
AT_ONCE = 8
LATER = 5


@dataclass(frozen=True, slots=True)
class DeployPackage:
    """Have a package deployed, at once or not before `due_at`. `options` are all of DeployOptions."""

    package_id: UUID
    environment: str
    options: dict[str, Any]
    due_at: datetime | None = None
    priority: int = LATER
    timeout_seconds: int = 3600
    deployment_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class RollBackDeployment:
    """Have a deployment taken back; with `force` also where later writes are lost."""

    deployment_id: UUID
    reason: str | None = None
    force: bool = False
    timeout_seconds: int = 3600
    job_id: UUID = field(default_factory=uuid4)


async def load_deployment(work: Work, deployment_id: UUID) -> DataDeployment:
    """The deployment, or NotFound."""
    if (deployment := await work.load(DataDeployment, deployment_id)) is None:
        raise NotFound("Deployment not found")
    return deployment


async def watch_package(work: Work, package_id: UUID) -> Package:
    """The package, which is as it is when the commit is made; NotFound without it, Clash when it holds nothing."""
    if (package := await work.watch(Package, package_id)) is None:
        raise NotFound("Package not found")
    package.contents()
    return package


def action_of(aggregate_id: UUID, number: int) -> str:
    """The id of the action that begins with event `number` of an aggregate."""
    return str(uuid5(ACTIONS, f"{aggregate_id}:{number}"))


async def deploy_package(work: Work, command: DeployPackage) -> str:
    """Answers the id of the deployment, and of the job that does it; a dry run is that job alone."""
    package = await watch_package(work, command.package_id)
    await in_order(work, package)
    due_at = command.due_at.isoformat() if command.due_at and command.due_at > work.now else None
    facts = {"package_id": str(package.id), "environment": command.environment, "options": command.options}
    if not command.options["dry_run"]:
        work.add(requested(work, package, command.deployment_id, due_at=due_at, requested_by=work.actor, **facts))
    job = RequestJob(
        DEPLOYING,
        facts,
        "deploy",
        command.timeout_seconds,
        TRIES_AFTER_THE_FIRST,
        command.priority,
        command.due_at,
        command.deployment_id,
    )
    return await request_job(work, job)


def requested(work: Work, package: Package, deployment_id: UUID, **facts: Any) -> DataDeployment:
    """A new deployment of a package."""
    return DataDeployment.request(
        deployment_id,
        work.now,
        organisation=work.organisation,
        package=package.name,
        version=package.version_name,
        action_id=action_of(deployment_id, 1),
        **facts,
    )


async def roll_back_deployment(work: Work, command: RollBackDeployment) -> str:
    """Answers the id of the job that does it; Clash unless the deployment is there, and on top or forced out."""
    deployment = await load_deployment(work, command.deployment_id)
    place = Installation.id_of(work.organisation, deployment.environment, deployment.package)
    if not command.force and (installation := await work.load(Installation, place)):
        installation.check_on_top(deployment.id)
    facts = {"reason": command.reason, "force": command.force}
    action_id = action_of(deployment.id, deployment.version + 1)
    deployment.request_rollback(work.now, action_id=action_id, requested_by=work.actor, **facts)
    where = {"package": deployment.package, "environment": deployment.environment}
    arguments = {"deployment_id": str(deployment.id), **where, **facts}
    job = RequestJob(
        ROLLING_BACK,
        arguments,
        "rollback",
        command.timeout_seconds,
        TRIES_AFTER_THE_FIRST,
        AT_ONCE,
        job_id=command.job_id,
    )
    return await request_job(work, job)
