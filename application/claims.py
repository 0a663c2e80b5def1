"""Runners: claiming the next deployment of a lane, and what stands before that: approvals and holds."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from application.authorisation import may_approve
from application.caller import Caller
from application.deployments import entry_of, load_deployment, load_lane, skip_older
from application.execution import Work
from application.gates import frozen_by, house_rules
from domain.deployment import Deployment
from domain.errors import Frozen, LeaseLost, NotFound
from domain.freezes import Freezes
from domain.lane import Entry, Lane
from domain.rules import HouseRules
from domain.taxonomy import Taxonomy

CLAIM_RULE = "scheduled-before-claimed"
ORDER_RULE = "rollback-first-then-newest"


@dataclass(frozen=True, slots=True)
class ClaimDeployment:
    """The next deployment of the first of these lanes that has one."""

    lanes: tuple[Taxonomy, ...]
    runner: str
    lease_seconds: int
    override: str | None = None
    fences_above: int = 0


@dataclass(frozen=True, slots=True)
class ApproveDeployment:
    """Let a manual deployment be claimed."""

    deployment_id: str
    approver: Caller
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LapseClaim:
    """End the claim of a runner that was not heard of in time."""

    deployment_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """Let automatic deployments go on after a rollback."""

    taxonomy: Taxonomy
    reason: str | None = None


async def claim_deployment(work: Work, command: ClaimDeployment) -> str:
    """Answers the id of the deployment that was claimed, or nothing when no lane has one that may start."""
    rules = await house_rules(work)
    freezes = await work.watch(Freezes, Freezes.id_of(work.organisation))
    frozen: Frozen | None = None
    for taxonomy in command.lanes:
        if (lane := await load_lane(work, taxonomy)) is None:
            continue
        entry = lane.next_to_claim(partial(may_start, rules, taxonomy))
        if entry is None:
            continue
        if refusal := frozen_by(freezes, taxonomy, entry.environment, work.now, command.override):
            frozen = frozen or refusal
            continue
        return await take(work, lane, entry, command)
    if frozen:
        raise frozen
    return ""


def may_start(rules: HouseRules, taxonomy: Taxonomy, entry: Entry) -> bool:
    """Manual deployments wait for an approval where a rule asks for one."""
    return entry.approved or rules.approval_for(entry.trigger, taxonomy, entry.environment) is None


async def take(work: Work, lane: Lane, entry: Entry, command: ClaimDeployment) -> str:
    """Starts the deployment under a lease, and skips the older automatic ones."""
    deployment = await load_deployment(work, entry.deployment_id)
    older = lane.waiting_before(entry.number, automatic_only=True)
    queue = await work.load_all(Deployment, [UUID(e.deployment_id) for e in older])
    until = work.now + timedelta(seconds=command.lease_seconds)
    work.explain(deployment, ORDER_RULE, lane=str(lane.id), lane_version=lane.version)
    deployment.claim(command.runner, work.now, until, command.override, command.fences_above)
    lane.place(entry_of(deployment), work.now)
    skip_older(work, lane, entry, queue, CLAIM_RULE, automatic_only=True)
    return entry.deployment_id


async def approve_deployment(work: Work, command: ApproveDeployment) -> str:
    """Records the approval in the deployment and in its lane."""
    deployment = await load_deployment(work, command.deployment_id)
    rules = await house_rules(work)
    lane = await load_lane(work, deployment.taxonomy)
    rule = may_approve(command.approver, rules, deployment.taxonomy, deployment.release.environment)
    work.explain(deployment, rule, role=command.approver.role)
    deployment.approve(work.actor, work.now, command.reason, own_allowed=command.approver.method == "off")
    if lane:
        lane.place(entry_of(deployment), work.now)
    return str(deployment.id)


async def lapse_claim(work: Work, command: LapseClaim) -> str:
    """Puts the deployment back into its queue."""
    deployment = await load_deployment(work, command.deployment_id)
    lane = await load_lane(work, deployment.taxonomy)
    deployment.lapse(command.fence, work.now)
    if lane:
        lane.place(entry_of(deployment), work.now)
    return str(deployment.id)


async def release_hold(work: Work, command: ReleaseHold) -> str:
    """Answers the lane's id."""
    if (lane := await load_lane(work, command.taxonomy)) is None:
        raise NotFound("Lane not found")
    lane.release(command.reason, work.now)
    return str(lane.id)


def check_claimed(claimed_by: str | None, present: int, fence: int) -> None:
    """Refuses a heartbeat of a runner whose claim has ended."""
    if claimed_by is None or present != fence:
        raise LeaseLost("The lease on this deployment has ended")
