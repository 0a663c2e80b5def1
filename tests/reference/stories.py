"""Random stories: the same commands for every store and for the oracle, with ids and times that never vary."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from application.caller import Caller, Role
from application.claims import (
    ApproveDeployment,
    ClaimDeployment,
    LapseClaim,
    ReleaseHold,
    approve_deployment,
    claim_deployment,
    lapse_claim,
    release_hold,
)
from application.corrections import CorrectDeployment, correct_deployment
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from application.execution import Executor, Handler
from application.freezes import DeclareFreeze, LiftFreeze, declare_freeze, lift_freeze
from application.ports.event_store import Actor, Circumstances
from application.rollbacks import RollBackDeployment, RollBackLane, roll_back_deployment, roll_back_lane
from application.rules import SetRules, set_rules
from domain.errors import RollbookError
from domain.freezes import Freezes, Scope
from domain.release import Release
from domain.rules import ApprovalRule, HouseRules, Rules
from domain.status import Status
from domain.taxonomy import Taxonomy

LANES = (Taxonomy("shop", "gcp"), Taxonomy("till", "gcp", cell="a"))
APPROVAL = HouseRules(approval=(ApprovalRule(Scope(environment="production")),))
AUDIT = ("repo", "workflow")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SOMEBODY = Caller("acme", "somebody", Role.ADMIN, "off", *AUDIT)
AROUND = Circumstances(Actor(UUID(int=1), "c2VhbGVk"), {}, datetime(2026, 1, 1, tzinfo=UTC), "0" * 32)


@dataclass(frozen=True)
class Step:
    """One thing that somebody asks for; `target` is a deployment, by the order in which deployments were asked for."""

    what: str
    lane: int = 0
    target: int = 0
    version: str | None = None
    environment: str | None = None
    auto: bool = True
    status: Status = Status.SCHEDULED


MAKE = ("schedule", "roll back lane", "roll back")
VERSIONS = st.sampled_from(["1", "2", "3"])
ENVIRONMENTS = st.sampled_from(["production", "production", "staging"])
SELDOM_VERSION = st.one_of(st.none(), st.none(), st.none(), VERSIONS)
LANE = st.sampled_from([0, 0, 0, 1])
TARGET = st.integers(0, 50)
SCHEDULE = st.builds(Step, st.just("schedule"), LANE, version=VERSIONS, environment=ENVIRONMENTS, auto=st.booleans())
REPORT = st.builds(Step, st.just("report"), target=TARGET, status=st.sampled_from(list(Status)))
DEPLOY = st.builds(Step, st.just("report"), target=TARGET, status=st.just(Status.DEPLOYED))
CLAIM = st.builds(Step, st.just("claim"), LANE)
ON_ONE = st.builds(Step, st.sampled_from(["annotate", "lapse", "approve", "approve", "correct"]), target=TARGET)
ROLL_BACK = st.builds(Step, st.just("roll back"), target=TARGET, version=SELDOM_VERSION)
ROLL_BACK_LANE = st.builds(
    Step,
    st.just("roll back lane"),
    LANE,
    version=SELDOM_VERSION,
    environment=st.one_of(st.none(), st.none(), ENVIRONMENTS),
)
GOVERN = st.one_of(
    st.builds(Step, st.sampled_from(["release", "freeze", "lift", "lift"]), LANE),
    st.builds(Step, st.just("ask for approvals"), auto=st.booleans()),
)
OFTEN = [SCHEDULE] * 5 + [DEPLOY] * 3 + [CLAIM] * 3 + [REPORT] * 2 + [ON_ONE] * 2
STEP = st.sampled_from([*OFTEN, ROLL_BACK, ROLL_BACK_LANE, ROLL_BACK_LANE, GOVERN, GOVERN]).flatmap(lambda kind: kind)


def settled(steps: list[Step]) -> list[Step]:
    """The same steps, each aimed at a deployment that was asked for before, as far as there is one."""
    asked, aimed = 0, []
    for step in steps:
        aimed.append(replace(step, target=step.target % max(asked, 1)))
        asked += step.what in MAKE
    return aimed


STORIES = st.lists(STEP, min_size=20, max_size=50).map(settled)


def deployment_id(number: int) -> UUID:
    """The id of the deployment that was asked for as number `number`, from 0."""
    return UUID(int=number + 1)


def freeze_id(lane: int) -> str:
    """The freeze of a lane."""
    return str(UUID(int=1000 + lane))


def commands(steps: list[Step]) -> Iterator[tuple[Handler, Any]]:
    """What each step asks for."""
    asked = 0
    for step in steps:
        yield command(step, deployment_id(asked))
        asked += step.what in MAKE


def command(step: Step, new_id: UUID) -> tuple[Handler, Any]:
    """What one step asks for, with the id that a new deployment would have."""
    lane, target = LANES[step.lane], str(deployment_id(step.target))
    match step.what:
        case "schedule":
            release = Release(str(step.version), str(step.environment), "k8s")
            return schedule_deployment, ScheduleDeployment(lane, release, step.auto, *AUDIT, deployment_id=new_id)
        case "report":
            return update_deployment, UpdateDeployment(target, step.status)
        case "annotate":
            return update_deployment, UpdateDeployment(target, changes={"notes": "noted"})
        case "roll back lane":
            return roll_back_lane, RollBackLane(lane, *AUDIT, step.version, step.environment, new_id)
        case "roll back":
            return roll_back_deployment, RollBackDeployment(target, *AUDIT, step.version, new_id)
    return governing(step, lane, target)


def governing(step: Step, lane: Taxonomy, target: str) -> tuple[Handler, Any]:
    """What one step asks for that makes no deployment."""
    match step.what:
        case "claim":
            return claim_deployment, ClaimDeployment((lane,), "runner", 60)
        case "lapse":
            return lapse_claim, LapseClaim(target, 1)
        case "correct":
            return correct_deployment, CorrectDeployment(target, LONG_AGO - timedelta(minutes=step.target), "why")
        case "approve":
            return approve_deployment, ApproveDeployment(target, SOMEBODY)
        case "release":
            return release_hold, ReleaseHold(lane)
        case "freeze":
            return declare_freeze, DeclareFreeze(Scope(name=lane.name), "why", freeze_id=freeze_id(step.lane))
        case "lift":
            return lift_freeze, LiftFreeze(freeze_id(step.lane))
    return set_rules, SetRules(APPROVAL if step.auto else HouseRules())


class Ticking:
    """A clock that goes on by a second whenever somebody looks."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


async def outcome(executor: Executor, handler: Handler, asked: Any) -> str:
    """What was answered, or the kind of the refusal."""
    try:
        return (await executor.execute("acme", AROUND, handler, asked)).resource
    except RollbookError as refusal:
        return type(refusal).__name__


def every_stream(steps: list[Step]) -> list[str]:
    """All streams that a story may have written to."""
    lanes = [f"lane-{lane.lane_id('acme')}" for lane in LANES]
    deployments = [f"deployment-{deployment_id(n)}" for n in range(len(steps))]
    return [*lanes, *deployments, f"freezes-{Freezes.id_of('acme')}", f"rules-{Rules.id_of('acme')}"]
