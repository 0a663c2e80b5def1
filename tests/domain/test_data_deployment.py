"""Data deployments: each ends once, can be tried again where nothing came of it, and taken back where something did."""

from typing import Any

import pytest

from domain.data_deployment import DataDeployment
from domain.errors import Clash
from tests.scenario import AT, Happened, given, happened, told

TABLES = {"customers": {"new": 2, "changed": 0, "same": 0, "failed": 0}}
DONE: dict[str, Any] = {
    "database_name": "shop",
    "tables": TABLES,
    "keys": {"customers": {"1": "1001"}},
    "mapped": {"customers": 1},
    "warnings": [],
    "kept": "0" * 64,
}
REQUESTED = happened(
    DataDeployment.Requested,
    organisation="acme",
    package_id="package",
    package="customers",
    version="1.0.0",
    environment="staging",
    options={},
    due_at=None,
    action_id="deploy",
    requested_by="somebody",
)
STARTED = happened(DataDeployment.Started, action_id="deploy")
DEPLOYED = happened(DataDeployment.Deployed, action_id="deploy", **DONE)
FAILED = happened(DataDeployment.Failed, action_id="deploy", error="The target refused")
CANCELLED = happened(DataDeployment.Cancelled, action_id="deploy", reason=None)
AGAIN: dict[str, Any] = {"package_id": "package", "environment": "staging", "options": {}}
REQUESTED_AGAIN = happened(DataDeployment.RequestedAgain, action_id="second", requested_by="another", **AGAIN)
ROLLBACK_FACTS: dict[str, Any] = {"action_id": "back", "reason": None, "force": False, "requested_by": "somebody"}
ROLLBACK = happened(DataDeployment.RollbackRequested, package_id="package", environment="staging", **ROLLBACK_FACTS)
ROLLBACK_FAILED = happened(DataDeployment.RollbackFailed, action_id="back", error="Later writes would be lost")
ROLLED_BACK = happened(DataDeployment.RolledBack, action_id="back", tables=TABLES)
ENDS = [(STARTED, DEPLOYED), (STARTED, FAILED), (CANCELLED,), (STARTED, DEPLOYED, ROLLBACK, ROLLED_BACK)]


def test_a_second_try_of_the_same_job_records_nothing() -> None:
    given(REQUESTED).when(lambda d: d.start(AT)).then(STARTED)
    given(REQUESTED, STARTED).when(lambda d: d.start(AT)).then()


def test_what_was_done_is_recorded_under_the_action_that_did_it() -> None:
    given(REQUESTED, STARTED).when(lambda d: d.succeed(AT, **DONE)).then(DEPLOYED)


def test_who_says_nothing_of_what_was_kept_has_kept_nothing() -> None:
    told = {name: fact for name, fact in DONE.items() if name != "kept"}
    unkept = happened(DataDeployment.Deployed, action_id="deploy", **told, kept=None)
    given(REQUESTED, STARTED).when(lambda d: d.succeed(AT, **told)).then(unkept)


@pytest.mark.parametrize("past", ENDS)
def test_what_has_ended_ends_no_second_time(past: tuple[Happened, ...]) -> None:
    given(REQUESTED, *past).when(lambda d: d.succeed(AT, **DONE)).is_refused(Clash)
    given(REQUESTED, *past).when(lambda d: d.fail("late", AT)).is_refused(Clash)
    given(REQUESTED, *past).when(lambda d: d.cancel(None, AT)).is_refused(Clash)


@pytest.mark.parametrize("past", [(STARTED, FAILED), (CANCELLED,)])
def test_what_came_to_nothing_is_tried_again_as_another_action(past: tuple[Happened, ...]) -> None:
    given(REQUESTED, *past).when(lambda d: d.request_again("second", "another", AT)).then(REQUESTED_AGAIN)
    given(REQUESTED, *past, REQUESTED_AGAIN).when(lambda d: d.start(AT)).then(
        happened(DataDeployment.Started, action_id="second")
    )


def test_what_is_there_is_not_deployed_again() -> None:
    given(REQUESTED, STARTED, DEPLOYED).when(lambda d: d.request_again("second", "x", AT)).is_refused(Clash)


def test_what_is_there_is_taken_back_once() -> None:
    given(REQUESTED, STARTED, DEPLOYED).when(lambda d: d.request_rollback(AT, **ROLLBACK_FACTS)).then(ROLLBACK)
    past = (REQUESTED, STARTED, DEPLOYED, ROLLBACK)
    given(*past).when(lambda d: d.request_rollback(AT, **ROLLBACK_FACTS)).is_refused(Clash, "already")
    given(*past).when(lambda d: d.roll_back(TABLES, AT)).then(ROLLED_BACK)
    given(*past, ROLLED_BACK).when(lambda d: d.request_rollback(AT, **ROLLBACK_FACTS)).is_refused(Clash)


def test_a_rollback_that_failed_leaves_it_there_and_may_be_tried_again() -> None:
    past = (REQUESTED, STARTED, DEPLOYED, ROLLBACK)
    given(*past).when(lambda d: d.fail_rollback("Later writes would be lost", AT)).then(ROLLBACK_FAILED)
    given(*past, ROLLBACK_FAILED).when(lambda d: d.request_rollback(AT, **ROLLBACK_FACTS)).then(ROLLBACK)
    assert told(*past, ROLLBACK_FAILED).status == "deployed"


@pytest.mark.parametrize("past", [(), (STARTED,), (STARTED, FAILED), (CANCELLED,)])
def test_what_is_not_there_cannot_be_taken_back(past: tuple[Happened, ...]) -> None:
    given(REQUESTED, *past).when(lambda d: d.request_rollback(AT, **ROLLBACK_FACTS)).is_refused(Clash)
