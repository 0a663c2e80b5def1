"""Scheduling deployments, and reporting what became of them."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from application.execution import Work
from application.gates import check_freeze, house_rules
from application.ports.event_store import Conflict
from domain.deployment import Deployment
from domain.errors import Invalid, LeaseLost, NotFound, VersionMismatch
from domain.lane import Entry, Lane
from domain.release import Release
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy

SKIP_RULE = "scheduled-before-deployed"


@dataclass(frozen=True, slots=True)
class ScheduleDeployment:
    """Queue a release for a taxonomy."""

    taxonomy: Taxonomy
    release: Release
    auto: bool
    created_by_repo: str
    created_by_workflow: str
    notes: str | None = None
    deployment_uri: str | None = None
    deployment_id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class UpdateDeployment:
    """Say what has become of a deployment. `changes` holds notes and deployment_uri as far as they are named."""

    deployment_id: str
    status: Status | None = None
    changes: dict[str, str | None] = field(default_factory=dict)
    if_match: int | None = None
    fence: int | None = None
    override: str | None = None


def entry_of(deployment: Deployment, status: Status | None = None) -> Entry:
    """What a lane knows of a deployment."""
    return Entry(
        deployment_id=str(deployment.id),
        number=deployment.number,
        version=deployment.release.version,
        environment=deployment.release.environment,
        auto=deployment.trigger is Trigger.AUTO,
        trigger=deployment.trigger,
        status=status or deployment.status,
        approved=deployment.approved,
    )


def parse_id(deployment_id: str) -> UUID:
    """Any text is a legal id; what is no UUID names no deployment."""
    try:
        return UUID(deployment_id)
    except ValueError:
        raise NotFound("Deployment not found") from None


async def load_deployment(work: Work, deployment_id: str) -> Deployment:
    """The deployment, or NotFound."""
    if deployment := await work.load(Deployment, parse_id(deployment_id)):
        return deployment
    raise NotFound("Deployment not found")


async def load_lane(work: Work, taxonomy: Taxonomy) -> Lane | None:
    """The lane of a taxonomy, when anything was ever queued for it."""
    return await work.load(Lane, taxonomy.lane_id(work.organisation))


def enter_lane(work: Work, lane: Lane | None, taxonomy: Taxonomy, deployment_id: UUID, **facts: Any) -> Deployment:
    """Schedules a deployment at the end of its lane, which opens with its first one."""
    if lane is None:
        lane = Lane.open(work.organisation, taxonomy, work.now)
        work.add(lane)
    deployment = Deployment.schedule(
        deployment_id,
        work.now,
        organisation=work.organisation,
        taxonomy=taxonomy,
        number=lane.last_number + 1,
        requested_by=work.actor,
        **facts,
    )
    work.add(deployment)
    lane.place(entry_of(deployment), work.now)
    return deployment


async def schedule_deployment(work: Work, command: ScheduleDeployment) -> str:
    """Answers the new deployment's id."""
    lane = await load_lane(work, command.taxonomy)
    deployment = enter_lane(
        work,
        lane,
        command.taxonomy,
        command.deployment_id,
        release=command.release,
        trigger=Trigger.AUTO if command.auto else Trigger.MANUAL,
        notes=command.notes,
        deployment_uri=command.deployment_uri,
        source_deployment_id=None,
        rollback_from_deployment_id=None,
        created_by_repo=command.created_by_repo,
        created_by_workflow=command.created_by_workflow,
    )
    return str(deployment.id)


async def update_deployment(work: Work, command: UpdateDeployment) -> str:
    """Records notes first and the status after; going live empties the queue before it."""
    deployment = await load_deployment(work, command.deployment_id)
    if command.status is None and not command.changes:
        raise Invalid("No fields to update")
    rules = await house_rules(work)
    check_expectations(deployment, command, rules.require_if_match)
    lane = await load_lane(work, deployment.taxonomy) if command.status else None
    queue = await load_superseded(work, deployment, lane, command.status)
    if command.status is Status.IN_PROGRESS:
        await check_freeze(work, deployment.taxonomy, deployment.release.environment, command.override)
    if command.changes:
        deployment.annotate(command.changes, work.now)
    if command.status and lane:
        deployment.report(command.status, work.now, rules.strict_transitions, command.override)
        settle_in_lane(work, lane, deployment, queue)
    return str(deployment.id)


def check_expectations(deployment: Deployment, command: UpdateDeployment, require_if_match: bool) -> None:
    """Refuses an update that was meant for another version, or that comes from a runner whose claim has ended."""
    if command.if_match is None and require_if_match:
        raise VersionMismatch("This organisation requires If-Match")
    if command.if_match is not None and command.if_match != deployment.version:
        raise VersionMismatch(f"The deployment is at version {deployment.version}, not {command.if_match}")
    if command.fence is not None and (command.fence != deployment.fence or not deployment.claimed):
        raise LeaseLost("The lease on this deployment has ended")


async def load_superseded(
    work: Work, deployment: Deployment, lane: Lane | None, status: Status | None
) -> dict[UUID, Deployment]:
    """The deployments that would leave the queue if this one went live."""
    if lane is None or status is not Status.DEPLOYED:
        return {}
    waiting = lane.waiting_before(deployment.number, automatic_only=False)
    return await work.load_all(Deployment, [UUID(e.deployment_id) for e in waiting])


def settle_in_lane(work: Work, lane: Lane, deployment: Deployment, queue: dict[UUID, Deployment]) -> None:
    """Tells the lane, and skips what it supersedes."""
    entry = entry_of(deployment)
    lane.place(entry, work.now)
    if deployment.status is Status.DEPLOYED:
        skip_older(work, lane, entry, queue, SKIP_RULE)


def skip_older(
    work: Work, lane: Lane, by: Entry, queue: dict[UUID, Deployment], rule: str, automatic_only: bool = False
) -> None:
    """Skips what `by` supersedes among those that were loaded; one that came since is a reason to decide again."""
    facts = {"lane": str(lane.id), "lane_version": lane.version, "automatic_only": automatic_only}
    for deployment_id in lane.supersede(by, work.now, automatic_only):
        if (deployment := queue.get(UUID(deployment_id))) is None:
            raise Conflict("The queue grew while it was read")
        deployment.skip(work.now, by.deployment_id, rule)
        for decided in (deployment, lane):
            work.explain(decided, rule, skipped_by=by.deployment_id, below=by.number, **facts)
