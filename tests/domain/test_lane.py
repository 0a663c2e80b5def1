"""A lane decides what is next, what is superseded, and what to go back to."""

from dataclasses import replace
from typing import Any

import pytest

from domain.errors import NotFound
from domain.lane import Entry, Hold, Lane
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy
from tests.scenario import AT, Happened, given, happened, told

SHOP = Taxonomy("shop", "gcp")
OPENED = happened(Lane.Opened, organisation="acme", taxonomy=SHOP)
RAN = ["in_progress", "deployed", "failed", "rolled_back"]


def entry(number: int, status: str = "scheduled", trigger: str = "auto", **facts: str) -> Entry:
    """A deployment called d<number> of version v<number>."""
    known: dict[str, Any] = {
        "deployment_id": f"d{number}",
        "version": f"v{number}",
        "environment": "production",
        **facts,
    }
    return Entry(number=number, auto=trigger == "auto", trigger=Trigger(trigger), status=Status(status), **known)


def moved(number: int, status: str = "scheduled", trigger: str = "auto", **facts: str) -> Happened:
    """It entered the lane, or its status changed."""
    return happened(Lane.Moved, entry=entry(number, status, trigger, **facts))


def held(number: int) -> Happened:
    """A rollback from this deployment holds the lane."""
    return happened(Lane.Held, hold=Hold(f"v{number}", number, f"d{number}"))


def superseded(by: int, automatic_only: bool = False) -> Happened:
    """It emptied the queue before it."""
    return happened(Lane.Superseded, by=f"d{by}", below=by, automatic_only=automatic_only)


def queue_of(lane: Lane) -> list[int]:
    """Who waits, newest first."""
    return [e.number for e in lane.queue()]


def anybody(_: Entry) -> bool:
    """Nothing waits for an approval."""
    return True


def next_of(*past: Happened) -> str | None:
    """Which deployment a runner would get."""
    found = told(OPENED, *past).next_to_claim(anybody)
    return found.deployment_id if found else None


def test_a_lane_opens_empty_under_an_id_that_follows_from_its_taxonomy() -> None:
    outcome = given().when(lambda _: Lane.open("acme", SHOP, AT)).then(OPENED)
    assert outcome.aggregate.id == SHOP.lane_id("acme")
    assert (outcome.aggregate.last_number, queue_of(outcome.aggregate)) == (0, [])


@pytest.mark.parametrize(
    "other",
    [
        replace(SHOP, name="other"),
        replace(SHOP, provider="aws"),
        replace(SHOP, cloud_account_id="account"),
        replace(SHOP, region="eu"),
        replace(SHOP, cell="cell"),
        replace(SHOP, cell=""),
    ],
)
def test_each_field_of_the_taxonomy_makes_another_lane(other: Taxonomy) -> None:
    assert other.lane_id("acme") != SHOP.lane_id("acme")


def test_fields_do_not_run_into_each_other_and_organisations_do_not_meet() -> None:
    assert Taxonomy("a", "b", "c").lane_id("acme") != Taxonomy("a", "b", None, "c").lane_id("acme")
    assert SHOP.lane_id("acme") != SHOP.lane_id("other")
    assert SHOP.lane_id("acme") == Taxonomy("shop", "gcp", None, None, None).lane_id("acme")


def test_what_is_placed_waits_and_counts() -> None:
    outcome = given(OPENED, moved(1)).when(lambda lane: lane.place(entry(2), AT)).then(moved(2))
    assert (queue_of(outcome.aggregate), outcome.aggregate.last_number) == ([2, 1], 2)


@pytest.mark.parametrize("status", [s.value for s in Status if s is not Status.SCHEDULED])
def test_what_has_another_status_waits_no_longer(status: str) -> None:
    assert queue_of(told(OPENED, moved(1), moved(2), moved(1, status))) == [2]


def test_what_is_scheduled_again_keeps_its_place() -> None:
    assert queue_of(told(OPENED, moved(1), moved(2), moved(1, "failed"), moved(1))) == [2, 1]


def test_the_last_number_never_falls() -> None:
    assert told(OPENED, moved(1), moved(2), moved(2, "cancelled"), moved(1, "deployed")).last_number == 2


def test_going_live_empties_the_queue_before_it_whatever_set_it_off() -> None:
    past = (OPENED, moved(1), moved(2, trigger="manual"), moved(3, trigger="rollback"), moved(4, "deployed"), moved(5))
    outcome = given(*past).when(lambda lane: lane.supersede(entry(4, "deployed"), AT)).then(superseded(4))
    outcome.answers(["d1", "d2", "d3"])
    assert queue_of(outcome.aggregate) == [5]


def test_a_claim_skips_the_older_automatic_ones_only() -> None:
    past = (OPENED, moved(1), moved(2, trigger="manual"), moved(3, trigger="rollback"), moved(4, "in_progress"))
    outcome = given(*past).when(lambda lane: lane.supersede(entry(4, "in_progress"), AT, automatic_only=True))
    outcome.then(superseded(4, automatic_only=True)).answers(["d1"])
    assert queue_of(outcome.aggregate) == [3, 2]


def test_going_live_leaves_what_ran_and_what_is_newer_alone() -> None:
    past = (OPENED, moved(1, "in_progress"), moved(2, "failed"), moved(3, "deployed"), moved(4, "deployed"), moved(5))
    given(*past).when(lambda lane: lane.supersede(entry(4, "deployed"), AT)).then().answers([])


def test_what_was_superseded_is_not_superseded_again() -> None:
    past = (OPENED, moved(1), moved(2, "deployed"), superseded(2), moved(3, "deployed"))
    given(*past).when(lambda lane: lane.supersede(entry(3, "deployed"), AT)).then().answers([])


def test_a_rollback_holds_the_lane_and_somebody_releases_it() -> None:
    outcome = given(OPENED).when(lambda lane: lane.hold(entry(3, "deployed"), AT)).then(held(3))
    assert outcome.aggregate.held == Hold("v3", 3, "d3")
    released = happened(Lane.Released, reason="fixed")
    assert given(OPENED, held(3)).when(lambda lane: lane.release("fixed", AT)).then(released).aggregate.held is None


@pytest.mark.parametrize("past", [(OPENED,), (OPENED, held(3), happened(Lane.Released, reason=None))])
def test_what_is_not_held_cannot_be_released(past: tuple[Happened, ...]) -> None:
    given(*past).when(lambda lane: lane.release(None, AT)).is_refused(NotFound, "Nothing is held")


@pytest.mark.parametrize(
    ("waiting", "covered"),
    [
        (entry(1), True),
        (entry(3), True),
        (entry(4), False),
        (entry(4, version="v3"), True),
        (entry(3, trigger="manual"), False),
        (entry(4, trigger="rollback", version="v3"), False),
    ],
)
def test_a_hold_keeps_back_automatic_ones_of_that_version_or_older(waiting: Entry, covered: bool) -> None:
    assert Hold("v3", 3, "d3").covers(waiting) is covered


def test_the_newest_goes_first() -> None:
    assert next_of(moved(1), moved(3), moved(2)) == "d3"


def test_a_queued_rollback_goes_before_anything_newer_and_the_newest_rollback_first() -> None:
    assert next_of(moved(1, trigger="rollback"), moved(2, trigger="rollback"), moved(3)) == "d2"


def test_nothing_is_handed_out_while_one_is_in_progress() -> None:
    assert next_of(moved(1), moved(2, "in_progress")) is None
    assert next_of(moved(1), moved(2, "in_progress"), moved(2, "failed")) == "d1"


def test_an_empty_queue_has_nothing_to_hand_out() -> None:
    assert next_of() is None
    assert next_of(moved(1, "deployed")) is None


def test_what_may_not_start_does_not_block_the_lane() -> None:
    lane = told(OPENED, moved(1), moved(2, trigger="manual"))
    assert lane.next_to_claim(lambda e: e.trigger is not Trigger.MANUAL).deployment_id == "d1"
    assert lane.next_to_claim(lambda e: False) is None


def test_what_is_held_back_is_passed_over_also_when_it_is_newest() -> None:
    assert next_of(moved(1, trigger="manual"), moved(3), held(3)) == "d1"
    assert next_of(moved(3), held(3)) is None
    assert next_of(moved(3), held(3), moved(4)) == "d4"
    assert next_of(moved(3), held(3), moved(4), moved(5, trigger="rollback", version="v3")) == "d5"


def test_the_source_of_a_rollback_is_the_newest_other_that_is_live_now() -> None:
    lane = told(OPENED, moved(1, "deployed"), moved(2, "deployed"), moved(3, "deployed"), moved(4, "failed"))
    assert lane.source("d3", None, None).deployment_id == "d2"
    assert lane.source("d4", None, None).deployment_id == "d3"
    assert lane.source(None, None, None).deployment_id == "d3"


@pytest.mark.parametrize("status", [s.value for s in Status if s is not Status.DEPLOYED])
def test_what_is_not_live_is_no_source(status: str) -> None:
    assert told(OPENED, moved(1, "deployed"), moved(1, status)).source(None, None, None) is None


def test_a_wanted_version_or_environment_narrows_the_source() -> None:
    past = (moved(1, "deployed"), moved(2, "deployed", version="v1"), moved(3, "deployed", environment="staging"))
    lane = told(OPENED, *past)
    assert lane.source(None, "v1", None).deployment_id == "d2"
    assert lane.source("d2", "v1", None).deployment_id == "d1"
    assert lane.source(None, None, "production").deployment_id == "d2"
    assert lane.source(None, "v9", None) is None
    assert lane.source(None, "v1", "staging") is None


@pytest.mark.parametrize("status", RAN)
def test_the_current_one_is_the_newest_that_ran_or_tried_to(status: str) -> None:
    lane = told(OPENED, moved(1, "deployed"), moved(2, status), moved(3), moved(4, "skipped"), moved(5, "cancelled"))
    assert lane.current().deployment_id == "d2"
    assert lane.current("staging") is None
    assert told(OPENED, moved(1, status, environment="staging"), moved(2, status)).current("staging").number == 1


def test_a_lane_where_nothing_ran_has_no_current_one() -> None:
    assert told(OPENED, moved(1)).current() is None
