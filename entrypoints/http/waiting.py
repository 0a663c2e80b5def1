"""Waits for the job behind a request, as long as the request may take."""

import asyncio
from time import monotonic
from typing import Never
from uuid import UUID

from adapters.postgres.conditions import equals
from domain import errors
from domain.job_status import ENDED, JobStatus
from entrypoints.http.errors import Broken
from entrypoints.http.reading import reading
from entrypoints.http.routing import Call
from projections.read_model import Row
from projections.registry import JOBS

SHARE_OF_TIME = 0.8
PAUSE_SECONDS = 0.02
REFUSALS: dict[str, type[errors.RollbookError]] = {
    kind.code: kind
    for kind in (errors.Invalid, errors.NotFound, errors.Clash, errors.TooLarge, errors.Unavailable, errors.StorageFull)
}


async def present_job(call: Call, job_id: UUID) -> Row:
    """The job as it is."""
    return (await (await reading(call)).select(JOBS, [equals("key", str(job_id))], order="key"))[0]


async def until_ended(call: Call, job_id: UUID) -> Row:
    """The job once it has ended; else as it is when the time of the request is nearly over."""
    until = call.began + call.app.settings.request_timeout_seconds * SHARE_OF_TIME
    while True:
        present = await reading(call)
        row = (await present.select(JOBS, [equals("key", str(job_id))], order="key"))[0]
        if row["status"] in ENDED or monotonic() > until:
            return row
        # Others' commits wake this too: a moment's pause bounds how often it looks.
        await call.app.log.wait_beyond(present.position, max(0.0, until - monotonic()))
        await asyncio.sleep(PAUSE_SECONDS)


async def refuse(call: Call, job: Row) -> Never:
    """Raises why a job that has ended did not do its work: in the words of its last error, as what kind it was."""
    if job["status"] == JobStatus.CANCELLED:
        raise errors.Clash("The job was cancelled")
    if job["status"] == JobStatus.TIMEOUT:
        raise errors.Unavailable("The job took longer than it may")
    told = await call.app.runs.progress(call.caller.organisation, [UUID(job["id"])])
    kind = REFUSALS.get(told.get(job["id"], {}).get("error_code", ""))
    if kind is None or not job["last_error"]:
        raise Broken("Internal Server Error")
    raise kind(job["last_error"])
