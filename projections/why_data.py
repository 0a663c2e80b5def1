"""Why the rows of a package are there, or are not: the events from package and job to the deployment, and a verdict."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.recorded import RecordedEvent
from domain.status import Status
from projections.read_model import Row
from projections.why import link

WORDS = {
    "package.defined": "Package {name} {version} defined on {environment}",
    "package.imported": "Package {name} {version} imported, signed by {signed_by}",
    "package.packing_finished": "Package packed",
    "data_deployment.requested": "Deployment of {package} {version} to {environment} requested",
    "data_deployment.requested_again": "Another try requested",
    "data_deployment.started": "Begun",
    "data_deployment.deployed": "Deployed to database {database_name}: {rows}",
    "data_deployment.failed": "Failed: {error}",
    "data_deployment.cancelled": "Cancelled: {reason}",
    "data_deployment.replaced": "Replaced by deploy-{by}",
    "data_deployment.reinstated": "Reinstated: deploy-{after} was rolled back",
    "data_deployment.rollback_requested": "Rollback requested: {reason}",
    "data_deployment.rollback_failed": "Rollback failed: {error}",
    "data_deployment.rolled_back": "Rolled back: {rows}",
    "job.requested": "Job asked for",
    "job.started": "Try {attempt} begun by worker {worker}",
    "job.completed": "Job completed",
    "job.failed": "Job failed: {error}",
    "job.retry_scheduled": "Another try at {due_at}, as this one failed: {error}",
    "job.worker_lost": "The worker was not heard of in time",
    "job.released": "The worker was told to end; another one takes the job",
    "job.cancel_requested": "Asked to stop: {reason}",
    "job.cancelled": "Job cancelled: {reason}",
    "job.timed_out": "Took longer than {after_seconds} s",
    "job.retried": "Tried again by hand",
    "installation.occupied": "The package's place in the environment is its own while it changes",
    "installation.left": "The package's place in the environment is free again",
    "installation.topped": "It is on top of what of the package is in the environment",
    "installation.uncovered": "It was taken from what of the package is in the environment",
}
OF_PACKAGE = ("package.defined", "package.imported", "package.packing_finished")
KINDS = ("job-", "installation-", "data_deployment-")


def concerned(beside: Iterable[RecordedEvent]) -> list[RecordedEvent]:
    """Of the commits of its events: what happened to jobs, installations and the deployments that it came with."""
    return [event for event in beside if event.stream_id.startswith(KINDS)]


def jobs_in(events: Iterable[RecordedEvent]) -> list[str]:
    """The streams of the jobs that did it, and that took it back."""
    return sorted({event.stream_id for event in events if event.stream_id.startswith("job-")})


def chain(events: Sequence[RecordedEvent], own: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The links in order."""
    wanted = {e.position: e for e in events if not e.stream_id.startswith("package-") or e.topic in OF_PACKAGE}
    return [{**link(e, own, names), "summary": words_of(e, own)} for _, e in sorted(wanted.items())]


def words_of(event: RecordedEvent, own: str) -> str:
    """What happened, in a few words; of another deployment with its id."""
    data = {name: "no reason was given" if value is None else value for name, value in event.data.items()}
    data |= {"rows": rows_in_words(event.data.get("tables") or {})}
    if event.topic == "package.imported" and event.data["signed_by"] is None:
        data["signed_by"] = "nobody"
    said = WORDS.get(event.topic, event.topic).format_map(data)
    other = event.stream_id.startswith("data_deployment-") and event.stream_id != own
    return f"deploy-{event.stream_id[16:]}, which it depends on or replaces: {said}" if other else said


def rows_in_words(tables: Mapping[str, Mapping[str, int]]) -> str:
    """How many rows of what became of them."""
    kinds = ("new", "changed", "same", "failed")
    counts = {kind: sum(table[kind] for table in tables.values()) for kind in kinds}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no rows"


def verdict(row: Row, job: Row | None, by: str, names: Mapping[str, str]) -> dict[str, Any]:
    """In which state it is, and why. `by` is the login of who did it last."""
    found = TELLS[Status(row["status"])](row, job or {}, by)
    if row["rolled_back_by"] and row["status"] == Status.DEPLOYED:
        found.append(reason("rolling_back", f"{names[row['rolled_back_by']]} has asked to take it back"))
    if row["error"] and row["status"] == Status.DEPLOYED:
        found.append(reason("rollback_failed", f"A rollback failed: {row['error']}"))
    return {"state": found[0]["kind"], "reasons": found}


def reason(kind: str, words: str, refers_to: str | None = None, of: str = "deployment") -> dict[str, Any]:
    """One reason, and what it is about."""
    return {"kind": kind, "words": words, "refers_to": None if refers_to is None else {"kind": of, "id": refers_to}}


def waiting(row: Row, job: Row, by: str) -> list[dict[str, Any]]:
    """Nobody works on it yet."""
    named = f"deploy-{row['id']}"
    match job.get("status"):
        case "retry":
            words = f"It is tried again at {job['due_at']}, as the last try failed: {job['last_error']}"
            return [reason("retry", words, named, "job")]
        case "processing":
            return [reason("in_progress", f"Worker {job['worker']} has just taken it", named, "job")]
    if row["due_at"]:
        return [reason("not_due", f"It is not due before {row['due_at']}", named, "job")]
    return [reason("queued", "It waits for a worker", named, "job")]


def running(row: Row, job: Row, by: str) -> list[dict[str, Any]]:
    """A worker is at it, or was."""
    if job.get("status") == "retry":
        return waiting(row, job, by)
    words = f"Worker {job['worker']} is at it, try {job['attempt']}" if job.get("worker") else "It waits for a worker"
    return [reason("in_progress", words, f"deploy-{row['id']}", "job")]


def there(row: Row, job: Row, by: str) -> list[dict[str, Any]]:
    """Its rows are in the database."""
    if row["is_active"]:
        return [reason("live", f"Its rows are in {row['environment']}: {rows_in_words(row['tables'])}")]
    other = f"deploy-{row['replaced_by']}"
    return [reason("replaced", f"{other} of the same package went into {row['environment']} after it", other)]


def failed(row: Row, job: Row, by: str) -> list[dict[str, Any]]:
    """Nothing of it is there."""
    return [reason("failed", f"It failed, and nothing of it is there: {row['error']}")]


def cancelled(row: Row, job: Row, by: str) -> list[dict[str, Any]]:
    """Nothing of it is there."""
    return [reason("cancelled", f"It was called off by {by}, and nothing of it is there: {row['error']}")]


def rolled_back(row: Row, job: Row, by: str) -> list[dict[str, Any]]:
    """It was there."""
    return [reason("rolled_back", f"It was taken back at {row['rolled_back_at']}: what it inserted is gone")]


TELLS = {
    Status.SCHEDULED: waiting,
    Status.IN_PROGRESS: running,
    Status.DEPLOYED: there,
    Status.FAILED: failed,
    Status.CANCELLED: cancelled,
    Status.ROLLED_BACK: rolled_back,
}
