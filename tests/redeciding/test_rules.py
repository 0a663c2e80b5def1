"""What each changed rule would have changed, sentence by sentence; and that only it would have."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from application.claims import ApproveDeployment, ClaimDeployment, approve_deployment, claim_deployment
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from application.freezes import DeclareFreeze, declare_freeze
from application.redecisions import Difference
from application.rollbacks import RollBackLane, roll_back_lane
from application.rule_changes import AddedFreeze, RemovedFreezes, RuleChanges, Window
from application.rules import SetRules, set_rules
from domain.errors import Invalid
from domain.freezes import Freeze, Scope
from domain.lane_rules import HoldBy, SkipBy
from domain.release import Release
from domain.rules import ApprovalRule, HouseRules
from domain.status import Status
from tests.kernel.conftest import Kernel
from tests.redeciding.histories import differences, exported, recorded
from tests.reference.stories import APPROVAL, AUDIT, LANES, SOMEBODY

PRODUCTION = Scope(environment="production")
FREEZE = Freeze("sale", PRODUCTION, "sale", None, "ann")


class Past:
    """What somebody does in one lane."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    async def schedule(self, version: str, auto: bool = True, environment: str = "production") -> str:
        """A deployment that waits."""
        command = ScheduleDeployment(LANES[0], Release(version, environment, "k8s"), auto, *AUDIT)
        return (await self.kernel.run(schedule_deployment, command)).resource

    async def report(self, deployment: str, status: Status, override: str | None = None) -> None:
        """What became of it."""
        await self.kernel.run(update_deployment, UpdateDeployment(deployment, status, override=override))

    async def live(self, version: str) -> str:
        """A deployment that is live."""
        made = await self.schedule(version)
        await self.report(made, Status.DEPLOYED)
        return made

    async def claim(self, override: str | None = None) -> str:
        """What a runner gets."""
        return (await self.kernel.run(claim_deployment, ClaimDeployment((LANES[0],), "r", 60, override))).resource

    async def again(self, changes: RuleChanges) -> list[Difference]:
        """What would have been otherwise; nothing under the rules that were in force."""
        lines = exported(await recorded(self.kernel))
        assert differences(lines, RuleChanges()) == []
        return differences(lines, changes)


@pytest.fixture
def past(kernel: Kernel) -> Past:
    return Past(kernel)


def brief(found: list[Difference]) -> list[tuple[str, str, str]]:
    """What is different, of which deployment, and what would have been."""
    return [(one.kind, one.deployment_id, one.would_be) for one in found]


def frozen(since: datetime | None = None, until: datetime | None = None) -> RuleChanges:
    """As if production had been frozen."""
    return RuleChanges(freezes_added=(AddedFreeze(FREEZE, Window(since, until)),))


async def test_without_auto_skip_whatever_was_skipped_stays_in_the_queue(past: Past) -> None:
    first = await past.schedule("1.0.0")
    second = await past.live("1.1.0")
    (found,) = await past.again(RuleChanges(skip_by=SkipBy.NEVER))
    assert (found.kind, found.deployment_id, found.version) == ("kept", first, "1.0.0")
    assert (found.was, found.would_be) == (f"skipped by {second} (1.1.0)", "stays in the queue")
    assert (found.component, found.environment) == ("shop", "production")
    assert found.rule == "scheduled-before-deployed, by never"


async def test_by_version_an_older_one_that_came_later_is_skipped_once_and_a_newer_one_stays(past: Past) -> None:
    newer = await past.schedule("2.0.0")
    live = await past.schedule("1.10.0")
    older = await past.schedule("1.9.0")
    await past.report(live, Status.DEPLOYED)
    await past.report(live, Status.DEPLOYED)
    by_live = f"skipped by {live} (1.10.0)"
    found = await past.again(RuleChanges(skip_by=SkipBy.VERSION))
    assert sorted(brief(found)) == sorted([("kept", newer, "stays in the queue"), ("skipped", older, by_live)])


async def test_who_is_told_as_skipped_before_a_span_is_told_again_within(past: Past) -> None:
    live = await past.schedule("1.10.0")
    older = await past.schedule("1.9.0")
    await past.report(live, Status.DEPLOYED)
    between = (await recorded(past.kernel))[-1].position
    await past.report(live, Status.DEPLOYED)
    changes, lines = RuleChanges(skip_by=SkipBy.VERSION), exported(await recorded(past.kernel))
    told = [("skipped", older, f"skipped by {live} (1.10.0)")]
    assert brief(differences(lines, changes)) == told
    assert brief(differences(lines, changes, first=between + 1)) == told


async def test_by_version_a_claim_skips_automatic_ones_only(past: Past) -> None:
    newer = await past.schedule("3.0.0")
    manual = await past.schedule("1.0.0", auto=False)
    claimed = await past.schedule("2.0.0")
    assert await past.claim() == claimed
    assert brief(await past.again(RuleChanges(skip_by=SkipBy.VERSION))) == [("kept", newer, "stays in the queue")]
    assert manual


async def test_versions_that_are_none_are_skipped_by_age(past: Past) -> None:
    await past.schedule("spring")
    await past.live("autumn")
    assert await past.again(RuleChanges(skip_by=SkipBy.VERSION)) == []


async def test_a_freeze_that_nobody_declared_refuses_reported_and_claimed_starts(past: Past) -> None:
    first, second = await past.schedule("1"), await past.schedule("2")
    await past.report(first, Status.IN_PROGRESS)
    await past.report(first, Status.FAILED)
    await past.claim()
    words = "refused: frozen by sale (sale)"
    assert brief(await past.again(frozen())) == [("blocked", first, words), ("blocked", second, words)]


async def test_an_added_freeze_counts_within_its_window_and_scope_alone(past: Past) -> None:
    started = await past.schedule("1")
    await past.report(started, Status.IN_PROGRESS)
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert await past.again(frozen(since=now + hour)) == []
    assert await past.again(frozen(until=now - hour)) == []
    assert [one.kind for one in await past.again(frozen(now - hour, now + hour))] == ["blocked"]
    staging = AddedFreeze(Freeze("other", Scope(environment="staging"), "why", None, "ann"), Window())
    assert await past.again(RuleChanges(freezes_added=(staging,))) == []


async def test_who_overrides_a_freeze_starts_under_another_one_too(past: Past) -> None:
    started = await past.schedule("1")
    await past.report(started, Status.IN_PROGRESS, "the shop is down")
    assert await past.again(frozen()) == []


@pytest.mark.parametrize("removed", [RemovedFreezes(), RemovedFreezes("sale"), RemovedFreezes(scope=PRODUCTION)])
async def test_without_a_freeze_nobody_needs_to_override_it(past: Past, removed: RemovedFreezes) -> None:
    await past.kernel.run(declare_freeze, DeclareFreeze(PRODUCTION, "sale", freeze_id="sale"))
    started = await past.schedule("1")
    await past.report(started, Status.IN_PROGRESS, "the shop is down")
    found = brief(await past.again(RuleChanges(freezes_removed=(removed,))))
    assert found == [("allowed", started, "started without an override")]
    others = (RemovedFreezes("another"), RemovedFreezes(scope=Scope(environment="staging")))
    assert await past.again(RuleChanges(freezes_removed=others)) == []


async def test_a_rule_that_asks_for_approvals_blocks_what_was_claimed_without_one(past: Past) -> None:
    manual = await past.schedule("1", auto=False)
    assert await past.claim() == manual
    rule = ApprovalRule(PRODUCTION)
    (found,) = await past.again(RuleChanges(approval_added=(rule,)))
    assert (found.kind, found.deployment_id, found.rule) == ("blocked", manual, "approval")
    assert found.would_be == "waits for an approval; nothing claimed"
    assert await past.again(RuleChanges(approval_added=(ApprovalRule(Scope(name="other")),))) == []


async def test_then_a_runner_gets_the_next_one_instead(past: Past) -> None:
    automatic = await past.schedule("1")
    manual = await past.schedule("2", auto=False)
    assert await past.claim() == manual
    found = [one for one in await past.again(RuleChanges(approval_added=(ApprovalRule(),))) if one.kind == "blocked"]
    assert [one.would_be for one in found] == [f"waits for an approval; {automatic} (1) would have been claimed"]


@pytest.mark.parametrize("removed", [None, PRODUCTION])
async def test_without_the_rule_approvals_are_not_needed_and_others_are_claimed(past: Past, removed: Any) -> None:
    await past.kernel.run(set_rules, SetRules(APPROVAL))
    automatic = await past.schedule("1")
    manual = await past.schedule("2", auto=False)
    assert await past.claim() == automatic
    await past.report(automatic, Status.DEPLOYED)
    changes = RuleChanges(approval_removed=(removed,))
    (found,) = await past.again(changes)
    assert (found.kind, found.would_be) == ("another", f"{manual} (2) would have been claimed")
    approver = ApproveDeployment(manual, SOMEBODY)
    await past.kernel.run(approve_deployment, approver)
    assert brief(await past.again(changes))[1:] == [("allowed", manual, "needs none")]
    assert await past.again(RuleChanges(approval_removed=(Scope(name="other"),))) == []


async def test_strict_transitions_refuse_what_was_reported_out_of_order(past: Past) -> None:
    made = await past.schedule("1")
    await past.report(made, Status.DEPLOYED)
    (found,) = await past.again(RuleChanges(strict_transitions=True))
    assert (found.kind, found.was, found.rule) == ("blocked", "became deployed", "strict-transitions")
    assert found.would_be == "refused: A deployment that is scheduled cannot become deployed"


async def test_a_history_under_strict_transitions_is_what_it_was(past: Past) -> None:
    await past.kernel.run(set_rules, SetRules(HouseRules(strict_transitions=True)))
    made = await past.schedule("1")
    await past.claim()
    await past.report(made, Status.DEPLOYED)
    assert await past.again(RuleChanges(strict_transitions=False)) == []


async def test_another_hold_lets_go_of_what_it_does_not_cover(past: Past) -> None:
    await past.live("1")
    await past.live("2")
    waiting = await past.schedule("3")
    await past.report(await past.schedule("2"), Status.FAILED)
    await past.kernel.run(roll_back_lane, RollBackLane(LANES[0], *AUDIT))
    again = await past.schedule("2")
    free = "free to be claimed"
    assert brief(await past.again(RuleChanges(hold_by=HoldBy.VERSION))) == [("allowed", waiting, free)]
    assert brief(await past.again(RuleChanges(hold_by=HoldBy.AGE))) == [("allowed", again, free)]
    never = brief(await past.again(RuleChanges(hold_by=HoldBy.NEVER)))
    assert never == [("allowed", waiting, free), ("allowed", again, free)]


async def test_without_a_hold_a_runner_would_have_got_a_newer_one(past: Past) -> None:
    await past.live("1")
    await past.live("2")
    await past.kernel.run(roll_back_lane, RollBackLane(LANES[0], *AUDIT))
    await past.report(await past.claim(), Status.DEPLOYED)
    manual = await past.schedule("3", auto=False)
    held = await past.schedule("2")
    assert await past.claim() == manual
    found = [one for one in await past.again(RuleChanges(hold_by=HoldBy.NEVER)) if one.kind == "another"]
    assert brief(found) == [("another", manual, f"{held} (2) would have been claimed")]


async def test_only_the_span_is_told_though_all_before_it_is_known(past: Past) -> None:
    await past.schedule("1")
    await past.live("2")
    lines = exported(await recorded(past.kernel))
    changes = RuleChanges(skip_by=SkipBy.NEVER)
    (found,) = differences(lines, changes)
    assert differences(lines, changes, first=found.position) == [found]
    assert differences(lines, changes, last=4) == []
    assert differences(lines, changes, first=len(lines)) == []


async def test_a_history_without_its_beginning_or_with_a_gap_is_refused(past: Past) -> None:
    await past.live("1")
    lines = exported(await recorded(past.kernel))
    for torn in (lines[1:], lines[:1] + lines[2:]):
        with pytest.raises(Invalid, match="has a gap before position"):
            differences(torn, RuleChanges())
    with pytest.raises(Invalid, match="cut off"):
        differences(lines[:-1], RuleChanges())


@pytest.mark.parametrize("line", ["[]", "{", "{}", '{"envelope": "{}"}', "nothing", '{"events": "x"}', "\x00"])
async def test_what_is_no_export_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(Invalid, match="Line 1 is|cut off"):
        differences([line], RuleChanges())
