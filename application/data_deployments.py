"""Deploying packages to environments and taking them back: the commands, and what their jobs mean for them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from application.execution import Work
from application.handlers import Follow, Turn
from application.jobs import RequestJob, request_job
from application.packages import ACTIONS, load_package
from domain.data_deployment import DataDeployment
from domain.errors import NotFound
from domain.installation import Installation
from domain.job import Job
from domain.job_status import JobStatus
from domain.package import Package

DEPLOYING = "PACKAGE_DEPLOYMENT"
ROLLING_BACK = "PACKAGE_ROLLBACK"


@dataclass(frozen=True, slots=True)
class DeployPackage:
    """Have a package deployed, at once or not before `due_at`."""

    package_id: UUID
    environment: str
    options: dict[str, Any]
    due_at: datetime | None = None
    priority: int = 5
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


@dataclass(frozen=True, slots=True)
class BeginChange:
    """A job begins to change what of a package is in an environment: it deploys, or takes back, this deployment."""

    job_id: UUID
    deployment_id: UUID


async def load_deployment(work: Work, deployment_id: UUID) -> DataDeployment:
    """The deployment, or NotFound."""
    if (deployment := await work.load(DataDeployment, deployment_id)) is None:
        raise NotFound("Deployment not found")
    return deployment


async def deploy_package(work: Work, command: DeployPackage) -> str:
    """Answers the id of the deployment, and of the job that does it; a dry run is that job alone."""
    package = await load_package(work, command.package_id)
    package.contents()
    due_at = command.due_at.isoformat() if command.due_at and command.due_at > work.now else None
    facts = {"package_id": str(package.id), "environment": command.environment, "options": command.options}
    if not command.options.get("dry_run"):
        deployment = DataDeployment.request(
            command.deployment_id,
            work.now,
            organisation=work.organisation,
            package=package.name,
            version=package.version_name,
            due_at=due_at,
            action_id=action_of(command.deployment_id, 1),
            requested_by=work.actor,
            **facts,
        )
        work.add(deployment)
    job = RequestJob(
        DEPLOYING, facts, "deploy", command.timeout_seconds, 3, command.priority, command.due_at, command.deployment_id
    )
    return await request_job(work, job)


def action_of(aggregate_id: UUID, number: int) -> str:
    """The id of the action that begins with event `number` of an aggregate."""
    return str(uuid5(ACTIONS, f"{aggregate_id}:{number}"))


async def roll_back_deployment(work: Work, command: RollBackDeployment) -> str:
    """Answers the id of the job that does it; Clash unless the deployment is there."""
    deployment = await load_deployment(work, command.deployment_id)
    deployment.request_rollback(
        work.now,
        action_id=action_of(deployment.id, deployment.version + 1),
        reason=command.reason,
        force=command.force,
        requested_by=work.actor,
    )
    arguments = {"deployment_id": str(deployment.id), "environment": deployment.environment, "force": command.force}
    job = RequestJob(ROLLING_BACK, arguments, "rollback", command.timeout_seconds, 3, priority=7, job_id=command.job_id)
    return await request_job(work, job)


async def begin_change(work: Work, command: BeginChange) -> str:
    """Answers the deployment's id; Clash while another job changes the same installation. Repeats say nothing new."""
    deployment = await load_deployment(work, command.deployment_id)
    installation = await installation_of(work, deployment) or open_installation(work, deployment)
    installation.occupy(command.job_id, work.now)
    if command.job_id == command.deployment_id:
        deployment.start(work.now)
    return str(deployment.id)


async def installation_of(work: Work, deployment: DataDeployment) -> Installation | None:
    """What of the deployment's package is in its environment."""
    where = (work.organisation, deployment.environment, deployment.package)
    return await work.load(Installation, Installation.id_of(*where))


def open_installation(work: Work, deployment: DataDeployment) -> Installation:
    """The first one of a package in an environment."""
    installation = Installation.open(work.now, work.organisation, deployment.environment, deployment.package)
    work.add(installation)
    return installation


async def deploying_concerns(work: Work, job: Job) -> Follow:
    """How the job ends is how the deployment does; tried again, it waits again. A dry run concerns its package only."""
    if job.arguments["options"].get("dry_run"):
        return await trying_concerns(work, job)
    deployment = await load_deployment(work, job.id)
    installation = await installation_of(work, deployment)
    before = await work.load(DataDeployment, installation.active) if installation and installation.active else None

    def follow(turn: Turn) -> None:
        if turn.status is JobStatus.QUEUED:
            again = action_of(deployment.id, deployment.version + 1)
            deployment.request_again(again, work.actor, work.now)
        elif turn.status is JobStatus.COMPLETED and turn.result and installation:
            deployment.succeed(work.now, **turn.result["deployed"])
            installation.top(job.id, deployment.id, work.now)
            if before:
                before.be_replaced(deployment.id, work.now)
        else:
            if deployment.is_open:
                end_without(turn, deployment, work.now)
            if installation:
                installation.leave(job.id, work.now)

    return follow


def end_without(turn: Turn, deployment: DataDeployment, at: datetime) -> None:
    """Nothing was deployed."""
    if turn.status is JobStatus.CANCELLED:
        deployment.cancel(turn.why, at)
    else:
        deployment.fail(turn.why or str(turn.status), at)


async def trying_concerns(work: Work, job: Job) -> Follow:
    """What a dry run found is an entry in the history of its package."""
    package = await work.load(Package, UUID(job.arguments["package_id"]))

    def follow(turn: Turn) -> None:
        if package is None or turn.status is JobStatus.QUEUED:
            return
        deployed = turn.result["deployed"] if turn.result else {"tables": {}}
        package.record_validation(
            work.now,
            action_id=action_of(job.id, job.fence),
            environment=job.arguments["environment"],
            options=job.arguments["options"],
            tables=deployed["tables"],
            error=None if turn.result else turn.why or str(turn.status),
        )

    return follow


async def rolling_back_concerns(work: Work, job: Job) -> Follow:
    """How the job ends is how the rollback does; the deployment below comes to light again."""
    deployment = await load_deployment(work, UUID(job.arguments["deployment_id"]))
    installation = await installation_of(work, deployment)
    below = below_of(installation, deployment.id)
    before = await work.load(DataDeployment, below) if below else None

    def follow(turn: Turn) -> None:
        if turn.status is JobStatus.QUEUED:
            action_id = action_of(deployment.id, deployment.version + 1)
            facts = {"reason": None, "force": job.arguments["force"], "requested_by": work.actor}
            deployment.request_rollback(work.now, action_id=action_id, **facts)
        elif turn.status is JobStatus.COMPLETED and turn.result and installation:
            deployment.roll_back(turn.result["tables"], work.now)
            installation.uncover(job.id, deployment.id, work.now)
            if before:
                before.be_reinstated(deployment.id, work.now)
        else:
            if deployment.rollback:
                deployment.fail_rollback(turn.why or str(turn.status), work.now)
            if installation:
                installation.leave(job.id, work.now)

    return follow


def below_of(installation: Installation | None, deployment_id: UUID) -> UUID | None:
    """The deployment that comes to light when this one, on top, is taken back."""
    if installation is None or installation.active != deployment_id or len(installation.deployments) < 2:
        return None
    return installation.deployments[-2]
