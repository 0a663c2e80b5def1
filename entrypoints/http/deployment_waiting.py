"""What a request answers that waited for the job of a deployment or a rollback."""

from typing import Never
from uuid import UUID

from domain import errors
from domain.job_status import JobStatus
from entrypoints.http.jobs import name_of
from entrypoints.http.routing import Answer, Call, answer
from entrypoints.http.waiting import refusal_of
from projections.read_model import Row

REFUSALS: dict[str, type[errors.RollbookError]] = {
    kind.code: kind
    for kind in (errors.Invalid, errors.NotFound, errors.Clash, errors.TooLarge, errors.Unavailable, errors.StorageFull)
}


def scheduled(job: Row, message: str) -> Answer:
    """The job that does, or goes on doing, what was asked for."""
    return answer({"message": message, "job_id": name_of(job), "status": "scheduled"}, 202)


async def refuse(call: Call, job: Row) -> Never:
    """Raises why the job did not do its work: in the words of its last error, as the kind of refusal that it was."""
    if job["status"] == JobStatus.FAILED and job["last_error"]:
        identifier = UUID(job["id"])
        told = await call.app.runs.progress(call.caller.organisation, [identifier])
        kind = REFUSALS.get(told.get(job["id"], {}).get("error_code", ""))
        if kind is not None:
            raise kind(job["last_error"])
    raise refusal_of(job)
