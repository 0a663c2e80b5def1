"""What of a package is in an environment: one job at a time changes it, and the last one put is on top."""

from typing import Any
from uuid import UUID

from hypothesis import given as drawn
from hypothesis import strategies as st

from domain.errors import Clash
from domain.installation import Installation
from tests.scenario import AT, given, happened, told

FIRST, SECOND, ROLLBACK = UUID(int=1), UUID(int=2), UUID(int=3)
OPENED = happened(Installation.Opened, organisation="acme", environment="staging", package="customers")
OCCUPIED = happened(Installation.Occupied, job_id=str(FIRST))


def topped(deployment: UUID) -> Any:
    """A deployment was put on top by its own job."""
    return happened(Installation.Topped, job_id=str(deployment), deployment_id=str(deployment))


def test_a_job_occupies_what_nobody_changes() -> None:
    given(OPENED).when(lambda i: i.occupy(FIRST, AT)).then(OCCUPIED)


def test_the_same_job_occupies_it_once() -> None:
    given(OPENED, OCCUPIED).when(lambda i: i.occupy(FIRST, AT)).then()


def test_another_job_waits() -> None:
    given(OPENED, OCCUPIED).when(lambda i: i.occupy(SECOND, AT)).is_refused(Clash)


def test_a_job_that_changed_nothing_leaves() -> None:
    given(OPENED, OCCUPIED).when(lambda i: i.leave(FIRST, AT)).then(happened(Installation.Left, job_id=str(FIRST)))


def test_a_job_that_never_began_leaves_nothing() -> None:
    given(OPENED, OCCUPIED).when(lambda i: i.leave(SECOND, AT)).then()


def test_who_does_not_hold_it_puts_nothing_on_top() -> None:
    given(OPENED).when(lambda i: i.top(FIRST, FIRST, AT)).is_refused(Clash)


def test_what_is_put_on_top_is_active_and_lets_others_in() -> None:
    given(OPENED, OCCUPIED).when(lambda i: i.top(FIRST, FIRST, AT)).then(topped(FIRST))
    installation = told(OPENED, OCCUPIED, topped(FIRST))
    assert (installation.active, installation.holder) == (FIRST, None)


def test_what_is_taken_back_uncovers_what_was_before() -> None:
    held = happened(Installation.Occupied, job_id=str(ROLLBACK))
    uncovered = happened(Installation.Uncovered, job_id=str(ROLLBACK), deployment_id=str(SECOND))
    past = (OPENED, OCCUPIED, topped(FIRST), happened(Installation.Occupied, job_id=str(SECOND)), topped(SECOND), held)
    given(*past).when(lambda i: i.uncover(ROLLBACK, SECOND, AT)).then(uncovered)
    assert told(*past, uncovered).active == FIRST


@drawn(st.lists(st.tuples(st.sampled_from(["occupy", "leave", "top"]), st.integers(1, 4)), max_size=40))
def test_however_jobs_come_each_change_is_made_by_who_held_it(steps: list[tuple[str, int]]) -> None:
    installation, holder, put = Installation.open(AT, "acme", "staging", "customers"), None, list[UUID]()
    for step, number in steps:
        job = UUID(int=number)
        try:
            match step:
                case "occupy":
                    installation.occupy(job, AT)
                case "leave":
                    installation.leave(job, AT)
                case _:
                    installation.top(job, job, AT)
        except Clash:
            assert holder != job
            continue
        if step == "occupy":
            assert holder in (None, job)
            holder = job
        elif holder == job:
            put += [job] if step == "top" else []
            holder = None
    assert installation.holder == holder
    assert installation.deployments == put
