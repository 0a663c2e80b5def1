"""Waits for the job behind a request, as long as the request may take."""

import asyncio
import re
from time import monotonic
from uuid import UUID

from adapters.postgres.conditions import equals
from domain.errors import Clash, Invalid, RollbookError, Unavailable
from domain.job_status import ENDED, JobStatus
from entrypoints.http.errors import Broken
from entrypoints.http.reading import reading
from entrypoints.http.routing import Call
from projections.read_model import Row
from projections.registry import JOBS

SHARE_OF_TIME = 0.8
PAUSE_SECONDS = 0.02
# What a handler that broke leaves in the place of words: the kind of its error.
KIND_OF_ERROR = re.compile(r"[A-Za-z_]\w*")


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


def refusal_of(job: Row) -> RollbookError:
    """Why a job that has ended did not do its work, as a refusal of the request that waited for it."""
    why = job["last_error"] or f"The job is {job['status']}"
    if job["status"] == JobStatus.CANCELLED:
        return Clash("The job was cancelled")
    if job["status"] == JobStatus.TIMEOUT:
        return Unavailable("The job took longer than it may")
    if KIND_OF_ERROR.fullmatch(why):
        return Broken("Internal Server Error")
    return Unavailable(why) if job["attempt"] > 1 else Invalid(why)
