"""A job: work that a handler does in a worker, now or at a time, until it ends exactly once."""

from datetime import datetime
from functools import singledispatch
from typing import Any
from uuid import UUID

from eventsourcing.domain import AggregateCreated, AggregateEvent, BaseAggregate

from domain.errors import Clash, LeaseLost
from domain.job_status import ENDED, WAITING, JobStatus


class Job(BaseAggregate[UUID]):
    """Decides who works on a job, and how it ends. `fence` grows with every start: what an older one says is void."""

    TOPIC = "job"

    class Event(AggregateEvent):
        """Something that happened to a job."""

        def apply(self, aggregate: Any) -> None:
            evolve(self, aggregate)

    class Requested(Event, AggregateCreated):
        """Somebody wants this done. `due_at` is when at the earliest (ISO 8601), None at once; `priority` is 0 to 9,
        the higher the sooner; `arguments` hold no secret."""

        TOPIC = "job.requested"
        organisation: str
        handler: str
        arguments: dict[str, Any]
        prefix: str
        priority: int
        due_at: str | None
        timeout_seconds: int
        max_retries: int
        requested_by: str

    class Started(Event):
        """A worker took it; this is try number `attempt`, from 1."""

        TOPIC = "job.started"
        attempt: int
        fence: int
        worker: str

    class MilestoneReached(Event):
        """Its handler says how far it has come, where that is worth remembering."""

        TOPIC = "job.milestone_reached"
        name: str
        facts: dict[str, Any]

    class Completed(Event):
        """It did what it should."""

        TOPIC = "job.completed"
        result: dict[str, Any]

    class Failed(Event):
        """It did not, and will not be tried again by itself."""

        TOPIC = "job.failed"
        error: str

    class RetryScheduled(Event):
        """It failed in a way that another try may mend."""

        TOPIC = "job.retry_scheduled"
        error: str
        due_at: str

    class WorkerLost(Event):
        """Its worker was not heard of in time: it waits again."""

        TOPIC = "job.worker_lost"
        fence: int

    class Released(Event):
        """Its worker was told to stop, and undid what it had begun: it waits again, and this try does not count."""

        TOPIC = "job.released"
        fence: int

    class CancelRequested(Event):
        """Its worker has been asked to stop."""

        TOPIC = "job.cancel_requested"
        reason: str | None

    class Cancelled(Event):
        """It was stopped, or never begun; nothing of it remains."""

        TOPIC = "job.cancelled"
        reason: str | None

    class TimedOut(Event):
        """It took longer than it may."""

        TOPIC = "job.timed_out"
        after_seconds: int

    class Retried(Event):
        """Somebody wants it tried again, at once."""

        TOPIC = "job.retried"

    @classmethod
    def request(cls, job_id: UUID, at: datetime, **facts: Any) -> "Job":
        """A new job; it waits."""
        return cls._create(cls.Requested, id=job_id, timestamp=at, **facts)

    def start(self, worker: str, at: datetime) -> None:
        """Hands it to a worker; Clash when another has it, it has ended, or it is not due yet."""
        if self.status not in WAITING:
            raise Clash(f"The job is {self.status}")
        if not self.is_due(at):
            raise Clash(f"The job is not due before {self.due_at}")
        self.trigger_event(self.Started, timestamp=at, attempt=self.attempt + 1, fence=self.fence + 1, worker=worker)

    def reach(self, fence: int, name: str, facts: dict[str, Any], at: datetime) -> None:
        """Records how far it has come."""
        self.check_holder(fence)
        self.trigger_event(self.MilestoneReached, timestamp=at, name=name, facts=facts)

    def complete(self, fence: int, result: dict[str, Any], at: datetime) -> None:
        """What was done stands, even when a cancellation came too late."""
        self.check_holder(fence)
        self.trigger_event(self.Completed, timestamp=at, result=result)

    def fail(self, fence: int, error: str, again_at: datetime | None, at: datetime) -> None:
        """Ends it, or lets it wait until `again_at` when tries are left and nobody wants it cancelled."""
        self.check_holder(fence)
        if self.cancelling:
            self.confirm_cancel(fence, at)
        elif again_at is not None and self.attempt <= self.max_retries:
            self.trigger_event(self.RetryScheduled, timestamp=at, error=error, due_at=again_at.isoformat())
        else:
            self.trigger_event(self.Failed, timestamp=at, error=error)

    def time_out(self, fence: int, at: datetime) -> None:
        """Ends it because its time is over."""
        self.check_holder(fence)
        self.trigger_event(self.TimedOut, timestamp=at, after_seconds=self.timeout_seconds)

    def lose_worker(self, fence: int, at: datetime) -> None:
        """Its worker is silent: another may take it, unless it was to be cancelled or has no try left."""
        self.check_holder(fence)
        if self.cancelling:
            self.confirm_cancel(fence, at)
        elif self.attempt > self.max_retries:
            self.trigger_event(self.Failed, timestamp=at, error="The worker was lost, and no try is left")
        else:
            self.trigger_event(self.WorkerLost, timestamp=at, fence=fence)

    def release(self, fence: int, at: datetime) -> None:
        """Its worker stops working at all: another may take it at once, unless it was to be cancelled."""
        if self.cancelling:
            self.confirm_cancel(fence, at)
        else:
            self.check_holder(fence)
            self.trigger_event(self.Released, timestamp=at, fence=fence)

    def cancel(self, reason: str | None, at: datetime) -> None:
        """Ends it at once when nobody works on it, else asks its worker to stop; refused when it has ended."""
        if self.status in ENDED:
            raise Clash(f"The job has ended: it is {self.status}")
        if self.status in WAITING:
            self.trigger_event(self.Cancelled, timestamp=at, reason=reason)
        elif not self.cancelling:
            self.trigger_event(self.CancelRequested, timestamp=at, reason=reason)

    def confirm_cancel(self, fence: int, at: datetime) -> None:
        """Its worker has stopped."""
        self.check_holder(fence)
        self.trigger_event(self.Cancelled, timestamp=at, reason=self.cancel_reason)

    def retry(self, at: datetime) -> None:
        """Tries again at once what failed, timed out, was cancelled or waits for another try."""
        if self.status in (JobStatus.QUEUED, JobStatus.PROCESSING, JobStatus.COMPLETED):
            raise Clash(f"The job is {self.status}")
        self.trigger_event(self.Retried, timestamp=at)

    def is_due(self, at: datetime) -> bool:
        """Whether its time has come."""
        return self.due_at is None or at >= datetime.fromisoformat(self.due_at)

    def check_holder(self, fence: int) -> None:
        """LeaseLost unless this is the start that still counts."""
        if self.status is not JobStatus.PROCESSING or fence != self.fence:
            raise LeaseLost(f"The job is no longer this worker's: it is {self.status}")

    def __init__(
        self,
        organisation: str,
        handler: str,
        arguments: dict[str, Any],
        priority: int,
        due_at: str | None,
        timeout_seconds: int,
        max_retries: int,
        requested_by: str,
    ) -> None:
        self.organisation, self.requested_by = organisation, requested_by
        self.handler, self.arguments = handler, arguments
        self.priority = priority
        self.due_at = due_at
        self.timeout_seconds, self.max_retries = timeout_seconds, max_retries
        self.status, self.attempt, self.fence = JobStatus.QUEUED, 0, 0
        self.cancelling = False
        self.cancel_reason: str | None = None


ENDS: dict[type[AggregateEvent], JobStatus] = {
    Job.Completed: JobStatus.COMPLETED,
    Job.Failed: JobStatus.FAILED,
    Job.Cancelled: JobStatus.CANCELLED,
    Job.TimedOut: JobStatus.TIMEOUT,
}


@singledispatch
def evolve(event: AggregateEvent, job: Job) -> None:
    """How each event changes the state; milestones change nothing that decisions need."""
    if status := ENDS.get(type(event)):
        job.status, job.cancelling = status, False


@evolve.register
def _(event: Job.Started, job: Job) -> None:
    job.status = JobStatus.PROCESSING
    job.attempt, job.fence = event.attempt, event.fence


@evolve.register
def _(event: Job.RetryScheduled, job: Job) -> None:
    job.status, job.due_at = JobStatus.RETRY, event.due_at


@evolve.register
def _(event: Job.CancelRequested, job: Job) -> None:
    job.cancelling, job.cancel_reason = True, event.reason


@evolve.register
def _(event: Job.WorkerLost | Job.Released | Job.Retried, job: Job) -> None:
    tries = {Job.WorkerLost: job.attempt, Job.Released: job.attempt - 1, Job.Retried: 0}
    job.status, job.due_at, job.attempt = JobStatus.QUEUED, None, tries[type(event)]
