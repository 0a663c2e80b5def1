"""Whatever happens to a job, in whatever order: it ends once, and what is recorded is what is."""

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.errors import Clash, LeaseLost
from domain.job import ENDS, Job
from domain.job_status import ENDED, WAITING, JobStatus
from tests.scenario import AT, ID, state

FACTS: dict[str, Any] = {
    "organisation": "acme",
    "handler": "ECHO",
    "arguments": {},
    "prefix": "echo",
    "priority": 5,
    "timeout_seconds": 60,
    "requested_by": "somebody",
}
WORKERS = st.sampled_from(["one", "two"])
PAUSES = st.none() | st.integers(1, 100)


class JobHistory(RuleBasedStateMachine):
    """Two workers, either of which may be a zombie, a dispatcher that gives them up, users who change their mind."""

    def __init__(self) -> None:
        super().__init__()
        self.now = AT
        self.events: list[Any] = []
        self.job = Job.request(ID, AT, due_at=None, max_retries=2, **FACTS)
        self.held: dict[str, int] = {}
        self.note()

    def note(self) -> None:
        """What was decided is recorded."""
        self.events += self.job.collect_events()

    def attempt(self, decide: Any) -> None:
        """A command, which may be refused."""
        before = state(self.job)
        try:
            decide()
        except (Clash, LeaseLost):
            assert state(self.job) == before, "a refusal changed something"
        self.note()

    def by(self, worker: str, decide: Any) -> None:
        """What a worker says counts exactly while the job is its."""
        fence = self.held.get(worker)
        if fence is None:
            return
        its = self.job.status is JobStatus.PROCESSING and self.job.fence == fence
        recorded = len(self.events)
        self.attempt(lambda: decide(fence))
        assert (len(self.events) > recorded) == its

    @rule(worker=WORKERS)
    def start(self, worker: str) -> None:
        waited = self.job.status in WAITING and self.job.is_due(self.now)
        before = self.job.fence
        self.attempt(lambda: self.job.start(worker, self.now))
        if waited:
            self.held[worker] = self.job.fence
        assert (self.job.fence > before) == waited

    @rule(worker=WORKERS)
    def complete(self, worker: str) -> None:
        self.by(worker, lambda fence: self.job.complete(fence, {}, self.now))

    @rule(worker=WORKERS, pause=PAUSES)
    def fail(self, worker: str, pause: int | None) -> None:
        again = self.now + timedelta(seconds=pause) if pause else None
        self.by(worker, lambda fence: self.job.fail(fence, "no", again, self.now))

    @rule(worker=WORKERS)
    def time_out(self, worker: str) -> None:
        self.by(worker, lambda fence: self.job.time_out(fence, self.now))

    @rule(worker=WORKERS)
    def confirm_cancel(self, worker: str) -> None:
        self.by(worker, lambda fence: self.job.confirm_cancel(fence, self.now))

    @rule(worker=WORKERS)
    def release(self, worker: str) -> None:
        before = self.job.attempt
        self.by(worker, lambda fence: self.job.release(fence, self.now))
        if self.job.status is JobStatus.QUEUED and isinstance(self.events[-1], Job.Released):
            assert self.job.attempt <= before

    @rule(worker=WORKERS)
    def reach_milestone(self, worker: str) -> None:
        self.by(worker, lambda fence: self.job.reach(fence, "half", {}, self.now))

    @precondition(lambda self: self.job.status is JobStatus.PROCESSING)
    @rule()
    def give_up_the_worker(self) -> None:
        self.attempt(lambda: self.job.lose_worker(self.job.fence, self.now))
        assert self.job.status is not JobStatus.PROCESSING

    @rule()
    def cancel(self) -> None:
        self.attempt(lambda: self.job.cancel("changed my mind", self.now))

    @rule()
    def retry(self) -> None:
        self.attempt(lambda: self.job.retry(self.now))

    @rule(seconds=st.integers(-200, 200))
    def move_the_clock(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def it_ends_at_most_once_each_time_it_is_wanted(self) -> None:
        ended = False
        for event in self.events:
            if isinstance(event, Job.Retried):
                ended = False
            elif type(event) in ENDS:
                assert not ended, "it ended twice"
                ended = True
            else:
                assert not ended, f"{type(event).__name__} after the end"
        assert ended == (self.job.status in ENDED)

    @invariant()
    def fences_grow(self) -> None:
        fences = [event.fence for event in self.events if isinstance(event, Job.Started)]
        assert fences == list(range(1, len(fences) + 1))

    @invariant()
    def no_more_tries_are_made_than_were_granted(self) -> None:
        assert 0 <= self.job.attempt <= self.job.max_retries + 1

    @invariant()
    def the_events_say_what_it_is(self) -> None:
        replayed = None
        for event in self.events:
            replayed = event.mutate(replayed)
        assert state(replayed) == state(self.job)


TestAnyHistoryOfAJob = JobHistory.TestCase
TestAnyHistoryOfAJob.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
