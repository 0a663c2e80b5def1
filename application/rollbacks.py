"""Going back: queueing again what was live before, or replacing a deployment at once."""

from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from application.deployments import enter_lane, entry_of, load_deployment, load_lane
from application.execution import Work
from application.gates import check_freeze
from domain.deployment import Deployment
from domain.errors import NotFound
from domain.lane import Entry, Lane
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class RollBackLane:
    """Queue again what was live in a lane before."""

    taxonomy: Taxonomy
    created_by_repo: str
    created_by_workflow: str
    target_version: str | None = None
    environment: str | None = None
    deployment_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class RollBackDeployment:
    """Replace one deployment by what is live beside it, at once; during a freeze only with a reason to override it."""

    rolled_back: str
    created_by_repo: str
    created_by_workflow: str
    target_version: str | None = None
    deployment_id: UUID = field(default_factory=uuid4)
    override: str | None = None


async def roll_back_lane(work: Work, command: RollBackLane) -> str:
    """Queues a copy of the newest live deployment other than the current one."""
    lane = await load_lane(work, command.taxonomy)
    current = lane.current(command.environment) if lane else None
    source = find_source(lane, current.deployment_id if current else None, command.target_version, command.environment)
    if lane is None or source is None:
        raise nothing_to_go_back_to(command.target_version)
    origin = await load_deployment(work, source.deployment_id)
    version = lane.version
    deployment = enter_copy(work, lane, origin, current, command)
    for decided in (deployment, lane):
        explain_source(work, decided, version, command, source, current)
    if current:
        lane.hold(current, work.now)
    return str(deployment.id)


def find_source(
    lane: Lane | None, other_than: str | None, version: str | None, environment: str | None
) -> Entry | None:
    """What to go back to, if anything."""
    return lane.source(other_than, version, environment) if lane else None


def explain_source(
    work: Work,
    decided: Deployment | Lane,
    lane_version: int,
    command: RollBackLane | RollBackDeployment,
    source: Entry,
    current: Entry | None,
) -> None:
    """Records by which rule the source was chosen, and from what."""
    wanted = command.target_version
    work.explain(
        decided,
        "newest-deployed-of-version" if wanted else "newest-other-deployed",
        source=source.deployment_id,
        current=current.deployment_id if current else None,
        target_version=wanted,
        environment=getattr(command, "environment", None),
        lane_version=lane_version,
    )


def nothing_to_go_back_to(version: str | None) -> NotFound:
    """The refusal in the words of the queue's contract."""
    if version is None:
        return NotFound("No previous deployment to rollback to")
    return NotFound(f"No deployment found with version {version}")


def enter_copy(
    work: Work, lane: Lane, origin: Deployment, current: Entry | None, command: RollBackLane | RollBackDeployment
) -> Deployment:
    """Queues the release of `origin` again."""
    replaced = current.deployment_id if current else None
    return enter_lane(
        work,
        lane,
        origin.taxonomy,
        command.deployment_id,
        release=replace(origin.release, committed_at=None, change_url=None, incident_id=None),
        trigger=Trigger.ROLLBACK,
        notes=f"Rollback from {replaced} to version {origin.release.version} (source: {origin.id})",
        deployment_uri=None,
        source_deployment_id=str(origin.id),
        rollback_from_deployment_id=replaced,
        created_by_repo=command.created_by_repo,
        created_by_workflow=command.created_by_workflow,
    )


async def roll_back_deployment(work: Work, command: RollBackDeployment) -> str:
    """Marks the deployment rolled back and starts its replacement at once."""
    replaced = await load_deployment(work, command.rolled_back)
    lane = await load_lane(work, replaced.taxonomy)
    source = find_source(lane, str(replaced.id), command.target_version, None)
    if lane is None or source is None:
        raise NotFound("No successful deployment found to rollback to")
    origin = await load_deployment(work, source.deployment_id)
    await check_freeze(work, replaced.taxonomy, origin.release.environment, command.override)
    current, version = entry_of(replaced), lane.version
    deployment = enter_copy(work, lane, origin, current, command)
    for decided in (deployment, replaced, lane):
        explain_source(work, decided, version, command, source, current)
    deployment.report(Status.IN_PROGRESS, work.now, override=command.override)
    replaced.roll_back(work.now, str(deployment.id))
    lane.place(entry_of(replaced), work.now)
    lane.place(entry_of(deployment), work.now)
    lane.hold(current, work.now)
    return str(deployment.id)
