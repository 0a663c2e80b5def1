"""Where a deployment is in its life, what set it off, and what may follow what."""

from enum import StrEnum


class Status(StrEnum):
    """Where a deployment is in its life."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    DEPLOYED = "deployed"
    SKIPPED = "skipped"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


class Trigger(StrEnum):
    """What set a deployment off."""

    AUTO = "auto"
    MANUAL = "manual"
    ROLLBACK = "rollback"


# Which statuses may follow which, where an organisation asks for strict transitions.
STRICT: dict[Status, frozenset[Status]] = {
    Status.SCHEDULED: frozenset({Status.IN_PROGRESS, Status.SKIPPED, Status.CANCELLED, Status.FAILED}),
    Status.IN_PROGRESS: frozenset({Status.DEPLOYED, Status.FAILED, Status.CANCELLED}),
    Status.DEPLOYED: frozenset({Status.ROLLED_BACK}),
    Status.FAILED: frozenset({Status.SCHEDULED, Status.ROLLED_BACK}),
    Status.SKIPPED: frozenset({Status.SCHEDULED}),
    Status.CANCELLED: frozenset({Status.SCHEDULED}),
    Status.ROLLED_BACK: frozenset(),
}
