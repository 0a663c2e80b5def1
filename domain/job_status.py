"""What a job can be, and what each state lets happen."""

from enum import StrEnum


class JobStatus(StrEnum):
    """The life of a job. `pending` and `queued` are one state of the aggregate: a waiting job is pending until its
    time."""

    PENDING = "pending"
    QUEUED = "queued"
    PROCESSING = "processing"
    RETRY = "retry"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


WAITING = frozenset({JobStatus.QUEUED, JobStatus.RETRY})
ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMEOUT})
