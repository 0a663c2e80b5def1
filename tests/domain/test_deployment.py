"""A deployment decides what may happen to it."""

from datetime import timedelta
from typing import Any

import pytest

from domain.deployment import Deployment
from domain.errors import Clash, Forbidden, LeaseLost
from domain.release import Release
from domain.status import STRICT, Status
from domain.taxonomy import Taxonomy
from tests.scenario import AT, ID, Happened, given, happened, told

FACTS: dict[str, Any] = {
    "organisation": "acme",
    "taxonomy": Taxonomy("shop", "gcp"),
    "release": Release("1", "production", "k8s"),
    "number": 3,
    "trigger": "manual",
    "notes": "careful",
    "deployment_uri": None,
    "source_deployment_id": None,
    "rollback_from_deployment_id": None,
    "requested_by": "requester",
    "created_by_repo": "repo",
    "created_by_workflow": "workflow",
}
SCHEDULED = happened(Deployment.Scheduled, **FACTS)
STARTED = happened(Deployment.Started, override=None)
DEPLOYED = happened(Deployment.Deployed)
FAILED = happened(Deployment.Failed)
CANCELLED = happened(Deployment.Cancelled)
RESCHEDULED = happened(Deployment.Rescheduled)
SKIPPED = happened(Deployment.Skipped, skipped_by=None, rule="reported")
ROLLED_BACK = happened(Deployment.RolledBack, replaced_by=None)
APPROVED = happened(Deployment.Approved, reason="fine")

BECOMING = {
    Status.SCHEDULED: RESCHEDULED,
    Status.IN_PROGRESS: STARTED,
    Status.DEPLOYED: DEPLOYED,
    Status.SKIPPED: SKIPPED,
    Status.FAILED: FAILED,
    Status.ROLLED_BACK: ROLLED_BACK,
    Status.CANCELLED: CANCELLED,
}
EVERY_PAIR = [(before, after) for before in Status for after in Status]
# Written out by hand: what a strict organisation allows.
ALLOWED = {
    ("scheduled", "in_progress"),
    ("scheduled", "skipped"),
    ("scheduled", "cancelled"),
    ("scheduled", "failed"),
    ("in_progress", "deployed"),
    ("in_progress", "failed"),
    ("in_progress", "cancelled"),
    ("deployed", "rolled_back"),
    ("failed", "scheduled"),
    ("failed", "rolled_back"),
    ("skipped", "scheduled"),
    ("cancelled", "scheduled"),
}


def claimed(fence: int, override: str | None = None) -> Happened:
    """A runner took it for a minute."""
    until = (AT + timedelta(minutes=1)).isoformat()
    return happened(Deployment.Claimed, runner="runner", fence=fence, lease_until=until, override=override)


def lapsed(fence: int) -> Happened:
    """Its runner fell silent."""
    return happened(Deployment.ClaimLapsed, fence=fence)


def test_a_new_deployment_is_scheduled_with_all_that_was_said_of_it() -> None:
    outcome = given().when(lambda _: Deployment.schedule(ID, AT, **FACTS)).then(SCHEDULED)
    deployment = outcome.aggregate
    assert (deployment.id, deployment.version, deployment.status) == (ID, 1, "scheduled")
    assert (deployment.number, deployment.trigger, deployment.fence) == (3, "manual", 0)
    assert not deployment.approved and not deployment.claimed


@pytest.mark.parametrize(("before", "after"), EVERY_PAIR)
def test_any_status_may_follow_any_other(before: Status, after: Status) -> None:
    outcome = given(SCHEDULED, BECOMING[before]).when(lambda d: d.report(after, AT)).then(BECOMING[after])
    assert outcome.aggregate.status is after


@pytest.mark.parametrize(("before", "after"), EVERY_PAIR)
def test_a_strict_organisation_allows_what_makes_sense_and_repetition(before: Status, after: Status) -> None:
    outcome = given(SCHEDULED, BECOMING[before]).when(lambda d: d.report(after, AT, strict=True))
    if before == after or (before.value, after.value) in ALLOWED:
        outcome.then(BECOMING[after])
    else:
        outcome.is_refused(Clash, f"{before.value} cannot become {after.value}")


def test_every_status_has_strict_successors() -> None:
    assert set(STRICT) == set(Status)


def test_a_start_remembers_why_it_overrode_a_freeze() -> None:
    overridden = happened(Deployment.Started, override="hotfix")
    given(SCHEDULED).when(lambda d: d.report(Status.IN_PROGRESS, AT, override="hotfix")).then(overridden)


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.IN_PROGRESS])
def test_only_a_start_can_override_a_freeze(status: Status) -> None:
    given(SCHEDULED).when(lambda d: d.report(status, AT, override="hotfix")).then(BECOMING[status])


def test_what_was_superseded_says_by_which_and_under_which_rule() -> None:
    skipped = happened(Deployment.Skipped, skipped_by="newer", rule="some-rule")
    outcome = given(SCHEDULED).when(lambda d: d.skip(AT, "newer", "some-rule")).then(skipped)
    assert outcome.aggregate.status is Status.SKIPPED


def test_what_was_rolled_back_says_what_replaced_it() -> None:
    replaced = happened(Deployment.RolledBack, replaced_by="older")
    given(SCHEDULED, DEPLOYED).when(lambda d: d.roll_back(AT, "older")).then(replaced)


def test_notes_change_without_touching_the_status() -> None:
    annotated = happened(Deployment.Annotated, changes={"notes": None})
    outcome = given(SCHEDULED, STARTED).when(lambda d: d.annotate({"notes": None}, AT)).then(annotated)
    assert outcome.aggregate.status is Status.IN_PROGRESS


def test_another_person_may_approve_what_is_scheduled() -> None:
    outcome = given(SCHEDULED).when(lambda d: d.approve("approver", AT, "fine")).then(APPROVED)
    assert outcome.aggregate.approved


def test_nobody_approves_what_they_asked_for() -> None:
    given(SCHEDULED).when(lambda d: d.approve("requester", AT, "fine")).is_refused(Forbidden, "of their own")


def test_without_authentication_there_is_nobody_else_to_approve() -> None:
    given(SCHEDULED).when(lambda d: d.approve("requester", AT, "fine", own_allowed=True)).then(APPROVED)


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.SCHEDULED])
def test_only_what_is_scheduled_can_be_approved(status: Status) -> None:
    outcome = given(SCHEDULED, BECOMING[status]).when(lambda d: d.approve("approver", AT, None))
    outcome.is_refused(Clash, f"this one is {status.value}")


def test_an_approval_outlives_a_failed_attempt() -> None:
    assert told(SCHEDULED, APPROVED, STARTED, FAILED, RESCHEDULED).approved


def test_a_runner_claims_it_under_a_lease() -> None:
    until = AT + timedelta(minutes=1)
    outcome = given(SCHEDULED).when(lambda d: d.claim("runner", AT, until)).then(claimed(1))
    assert (outcome.aggregate.status, outcome.aggregate.claimed) == (Status.IN_PROGRESS, True)


def test_a_claim_remembers_why_it_overrode_a_freeze() -> None:
    until = AT + timedelta(minutes=1)
    given(SCHEDULED).when(lambda d: d.claim("runner", AT, until, "hotfix")).then(claimed(1, "hotfix"))


def test_every_claim_has_a_higher_fence() -> None:
    until = AT + timedelta(minutes=1)
    given(SCHEDULED, claimed(1), lapsed(1)).when(lambda d: d.claim("runner", AT, until)).then(claimed(2))


def test_a_claim_whose_runner_is_silent_lapses_and_the_deployment_waits_again() -> None:
    outcome = given(SCHEDULED, claimed(1)).when(lambda d: d.lapse(1, AT)).then(lapsed(1))
    assert (outcome.aggregate.status, outcome.aggregate.claimed) == (Status.SCHEDULED, False)


@pytest.mark.parametrize(
    "since", [(lapsed(1),), (lapsed(1), claimed(2)), (DEPLOYED,), (FAILED,), (STARTED,), (RESCHEDULED,)]
)
def test_a_claim_that_has_ended_cannot_lapse(since: tuple[Happened, ...]) -> None:
    given(SCHEDULED, claimed(1), *since).when(lambda d: d.lapse(1, AT)).is_refused(LeaseLost)


def test_a_deployment_that_nobody_claimed_has_no_lease_to_lose() -> None:
    given(SCHEDULED).when(lambda d: d.check_fence(0)).is_refused(LeaseLost)


def test_the_runner_that_holds_the_claim_is_heard() -> None:
    given(SCHEDULED, claimed(1)).when(lambda d: d.check_fence(1)).then()
