"""What the turns of a job mean for the deployments that it makes or takes back: decided in the same commit."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from application.data_deployments import action_of, load_deployment
from application.execution import Work
from application.handlers import Follow, Turn
from application.installations import installation_of, on_top, part_of, succeed
from application.package_dependencies import reachable
from domain.data_deployment import DataDeployment
from domain.installation import Installation
from domain.job import Job
from domain.job_status import JobStatus
from domain.package import Package


async def deploying_concerns(work: Work, job: Job) -> Follow:
    """How the job ends is how its deployments do; tried again, its own waits again. A dry run concerns its package."""
    if job.arguments["options"]["dry_run"]:
        return await rehearsing_concerns(work, job)
    deployment = await load_deployment(work, job.id)
    installation = await installation_of(work, deployment.environment, deployment.package)
    before = await on_top(work, installation)
    give_up = await giving_up(work, job, deployment)

    def follow(turn: Turn) -> None:
        if turn.status is JobStatus.QUEUED:
            again = action_of(deployment.id, deployment.version + 1)
            deployment.request_again(again, work.actor, work.now)
        elif turn.result and deployment.is_open and installation and installation.holder == job.id:
            succeed(deployment, installation, before, job.id, turn.result["deployed"], work.now)
        else:
            give_up(turn)

    return follow


async def giving_up(work: Work, job: Job, deployment: DataDeployment) -> Callable[[Turn], None]:
    """Ends whatever the job left open: its own deployment, and those of packages that this one depends on."""
    package = await work.load(Package, UUID(deployment.package_id))
    known = await reachable(work, package) if package else {}
    parts = [await part_of(work, deployment.id, one) for one in known if one != UUID(deployment.package_id)]
    begun = [deployment, *(part for _, part in parts if part)]
    places = [await installation_of(work, one.environment, one.package) for one in begun]

    def give_up(turn: Turn) -> None:
        for one in begun:
            if one.is_open:
                end_without(turn, one, work.now)
        leave(places, job.id, work.now)

    return give_up


def leave(places: list[Installation | None], job_id: UUID, at: datetime) -> None:
    """Lets others change what the job changed."""
    for place in places:
        if place:
            place.leave(job_id, at)


def end_without(turn: Turn, deployment: DataDeployment, at: datetime) -> None:
    """Nothing was deployed."""
    if turn.status is JobStatus.CANCELLED:
        deployment.cancel(turn.why, at)
    else:
        deployment.fail(turn.why or str(turn.status), at)


async def rehearsing_concerns(work: Work, job: Job) -> Follow:
    """What a dry run found is an entry in the history of its package."""
    package = await work.load(Package, UUID(job.arguments["package_id"]))

    def follow(turn: Turn) -> None:
        if package is None or turn.status is JobStatus.QUEUED:
            return
        package.record(
            Package.Validated,
            work.now,
            action_id=action_of(job.id, job.version),
            environment=job.arguments["environment"],
            options=job.arguments["options"],
            tables=turn.result["deployed"]["tables"] if turn.result else {},
            error=None if turn.result else turn.why or str(turn.status),
            requested_by=job.requested_by,
        )

    return follow


async def rolling_back_concerns(work: Work, job: Job) -> Follow:
    """How the job ends is how the rollback does; the deployment below comes to light again."""
    deployment = await load_deployment(work, UUID(job.arguments["deployment_id"]))
    installation = await installation_of(work, deployment.environment, deployment.package)
    below = below_of(installation, deployment.id)
    before = await work.load(DataDeployment, below) if below else None

    def follow(turn: Turn) -> None:
        if turn.status is JobStatus.QUEUED:
            facts = {"reason": job.arguments["reason"], "force": job.arguments["force"], "requested_by": work.actor}
            deployment.request_rollback(work.now, action_id=action_of(deployment.id, deployment.version + 1), **facts)
        elif turn.result and deployment.rollback and installation and is_held(installation, job.id, deployment.id):
            deployment.roll_back(turn.result["tables"], work.now)
            installation.uncover(job.id, deployment.id, work.now)
            if before:
                before.be_reinstated(deployment.id, work.now)
        else:
            if deployment.rollback:
                deployment.fail_rollback(turn.why or str(turn.status), work.now)
            leave([installation], job.id, work.now)

    return follow


def is_held(installation: Installation, job_id: UUID, deployment_id: UUID) -> bool:
    """Whether the job may take this deployment out."""
    return installation.holder == job_id and deployment_id in installation.deployments


def below_of(installation: Installation | None, deployment_id: UUID) -> UUID | None:
    """The deployment that comes to light when this one, on top, is taken back."""
    if installation is None or installation.active != deployment_id or len(installation.deployments) < 2:
        return None
    return installation.deployments[-2]
