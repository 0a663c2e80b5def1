"""A job is tried as often as it may be, by one worker at a time, until it ends."""

from datetime import timedelta
from typing import Any

import pytest

from application.jobs import LONGEST_PAUSE_SECONDS, pause
from domain.errors import Clash, LeaseLost
from domain.job import Job
from tests.scenario import AT, given, happened

FACTS: dict[str, Any] = {
    "organisation": "acme",
    "handler": "ECHO",
    "arguments": {},
    "prefix": "echo",
    "priority": 5,
    "timeout_seconds": 60,
    "requested_by": "somebody",
}
LATER = (AT + timedelta(hours=1)).isoformat()
REQUESTED = happened(Job.Requested, **FACTS, due_at=None, max_retries=1)
STARTED = happened(Job.Started, attempt=1, fence=1, worker="one")
STARTED_AGAIN = happened(Job.Started, attempt=2, fence=2, worker="two")
RETRY = happened(Job.RetryScheduled, error="away", due_at=AT.isoformat())
ASKED_TO_STOP = happened(Job.CancelRequested, reason="changed my mind")
CANCELLED = happened(Job.Cancelled, reason="changed my mind")


def test_a_job_is_not_started_before_its_time() -> None:
    scheduled = happened(Job.Requested, **FACTS, due_at=LATER, max_retries=1)
    given(scheduled).when(lambda job: job.start("one", AT)).is_refused(Clash, "not due before")


def test_a_job_that_one_worker_has_is_not_started_by_another() -> None:
    given(REQUESTED, STARTED).when(lambda job: job.start("two", AT)).is_refused(Clash, "processing")


def test_what_a_retry_can_mend_is_tried_again() -> None:
    outcome = given(REQUESTED, STARTED).when(lambda job: job.fail(1, "away", AT, AT))
    outcome.then(RETRY)


def test_the_last_try_fails_for_good() -> None:
    outcome = given(REQUESTED, STARTED, RETRY, STARTED_AGAIN).when(lambda job: job.fail(2, "away", AT, AT))
    outcome.then(happened(Job.Failed, error="away"))


def test_what_no_retry_can_mend_fails_at_once() -> None:
    given(REQUESTED, STARTED).when(lambda job: job.fail(1, "no", None, AT)).then(happened(Job.Failed, error="no"))


def test_a_worker_that_lost_the_job_has_no_say_any_more() -> None:
    lost = happened(Job.WorkerLost, fence=1)
    given(REQUESTED, STARTED, lost, STARTED_AGAIN).when(lambda job: job.complete(1, {}, AT)).is_refused(LeaseLost)


def test_a_job_whose_worker_is_lost_with_its_last_try_fails() -> None:
    past = (REQUESTED, STARTED, RETRY, STARTED_AGAIN)
    why = "The worker was lost, and no try is left"
    given(*past).when(lambda job: job.lose_worker(2, AT)).then(happened(Job.Failed, error=why))


def test_a_worker_that_is_told_to_stop_burns_no_try() -> None:
    outcome = given(REQUESTED, STARTED).when(lambda job: job.release(1, AT)).then(happened(Job.Released, fence=1))
    outcome.aggregate.start("two", AT)
    assert (outcome.aggregate.attempt, outcome.aggregate.fence) == (1, 2)


@pytest.mark.parametrize("end", [Job.release, Job.lose_worker, Job.confirm_cancel], ids=lambda end: str(end.__name__))
def test_a_job_that_was_to_be_cancelled_is(end: Any) -> None:
    given(REQUESTED, STARTED, ASKED_TO_STOP).when(lambda job: end(job, 1, AT)).then(CANCELLED)


def test_what_was_done_stands_when_a_cancellation_comes_too_late() -> None:
    done = given(REQUESTED, STARTED, ASKED_TO_STOP).when(lambda job: job.complete(1, {}, AT))
    done.then(happened(Job.Completed, result={}))


def test_a_job_that_nobody_works_on_is_cancelled_at_once() -> None:
    given(REQUESTED).when(lambda job: job.cancel("changed my mind", AT)).then(CANCELLED)


def test_who_asks_twice_to_cancel_asks_once() -> None:
    given(REQUESTED, STARTED, ASKED_TO_STOP).when(lambda job: job.cancel(None, AT)).then()


def test_pauses_double_up_to_a_limit_and_vary_by_half() -> None:
    assert [pause(n, 0).total_seconds() for n in (1, 2, 3)] == [2, 4, 8]
    assert pause(1000, 0).total_seconds() == LONGEST_PAUSE_SECONDS
    assert pause(2, 1).total_seconds() == 2
