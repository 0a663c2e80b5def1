"""Jobs as their users follow them: one row a job, in the words of the packages document."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment

ENDINGS = {
    "job.completed": "completed",
    "job.failed": "failed",
    "job.cancelled": "cancelled",
    "job.timed_out": "timeout",
}
EMPTY = {"started_at": None, "completed_at": None, "last_error": None, "result": None, "worker": None}


class Jobs:
    """One row a job. `status` says `queued` of a job whose time has not come; whoever answers makes that `pending`.

    `actor` is a pseudonym.
    """

    name: ClassVar[str] = "jobs"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("job",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "status": 'text collate "C"',
        "handler": 'text collate "C"',
        "priority": "integer",
        "due_at": "timestamptz",
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "newest": "btree (organisation, created_position desc)",
        "newest_live": f"btree (organisation, created_position desc) where to_position = {2**63 - 1}",
        "status_filed": "btree (organisation, status, fork)",
        "waiting": f"btree (from_position) where to_position = {2**63 - 1} and status in ('queued', 'retry')",
        "due": f"btree (due_at, key) where to_position = {2**63 - 1} and status in ('queued', 'retry')",
        "processing": f"btree (key) where to_position = {2**63 - 1} and status = 'processing'",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Jobs are keyed by their own id."""
        return event.stream_id[4:] if event.stream_id.startswith("job-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Requested makes the row; everything after changes it."""
        at = moment(event.recorded_at)
        if event.topic == "job.requested":
            return requested(event, data, at)
        if row is None:
            raise ValueError(f"{event.topic} before job.requested")
        kept = {"updated_at": at, "position": event.commit_position, "version_number": event.version}
        return {**row, **changes(row, event, data, at), **kept}


def requested(event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """A new row."""
    told = ("handler", "arguments", "prefix", "priority", "timeout_seconds", "max_retries")
    return {
        "id": event.stream_id[4:],
        "organisation": event.organisation,
        **{name: data[name] for name in told},
        "status": "queued",
        "due_at": data["due_at"] or at,
        "attempt": 0,
        "fence": 0,
        **EMPTY,
        "cancelling": False,
        "created_at": at,
        "updated_at": at,
        "actor": data["requested_by"],
        **cause(event),
        "version_number": event.version,
        "created_position": event.position,
        "position": event.commit_position,
    }


def why_ended(event: RecordedEvent, data: dict[str, Any]) -> str | None:
    """Why it did not complete; None where it did."""
    if event.topic == "job.timed_out":
        return f"It took longer than {data['after_seconds']} s"
    if event.topic == "job.cancelled":
        return data["reason"] or "It was cancelled"
    error: str | None = data.get("error")
    return error


def cause(event: RecordedEvent) -> Row:
    """Because of what it is done."""
    return {name: event.envelope["cause"].get(name) for name in ("correlation_id", "traceparent")}


def changes(row: Row, event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """The members that an event sets."""
    if ending := ENDINGS.get(event.topic):
        error = {"last_error": why} if (why := why_ended(event, data)) else {}
        return {"status": ending, "completed_at": at, "result": data.get("result"), "cancelling": False, **error}
    match event.topic:
        case "job.started":
            taken = {name: data[name] for name in ("attempt", "fence", "worker")}
            return {"status": "processing", "started_at": at, "completed_at": None, **taken}
        case "job.retry_scheduled":
            return {"status": "retry", "due_at": data["due_at"], "last_error": data["error"]}
        case "job.worker_lost":
            return {"status": "queued", "due_at": at, "worker": None, "last_error": "The worker was lost"}
        case "job.released":
            return {"status": "queued", "due_at": at, "worker": None, "attempt": row["attempt"] - 1}
        case "job.retried":
            return {"status": "queued", "due_at": at, "attempt": 0, "completed_at": None, **cause(event)}
        case "job.cancel_requested":
            return {"cancelling": True}
    return {}
