"""Jobs: what waits, runs and has ended; stop it, try it again, read along."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.postgres.conditions import Condition, all_of, any_of, at_most, beyond, equals
from application import jobs as commands
from application.handlers import Concern, Handler
from domain.errors import Clash, NotFound
from domain.job_status import ENDED, JobStatus
from entrypoints.http import job_models as models
from entrypoints.http.commands import execute
from entrypoints.http.fields import AsOf
from entrypoints.http.package_answers import may_read_rows, utc
from entrypoints.http.packages import packages
from entrypoints.http.reading import COUNTED, PAGED, SHOWN, Reading, reading, resolve_moment
from entrypoints.http.routing import Answer, Call, answer
from projections.read_model import Row
from projections.registry import JOBS

FOLLOW_SECONDS = 0.5
LONGEST_FOLLOW_SECONDS = 3600.0
PREFIXES = {"package_id": "pkg-", "deployment_id": "deploy-"}
TEXT = "text/plain; charset=utf-8"


@packages.get("/api/jobs", action="job.read", answer=models.JobList, takes=PAGED, gives=COUNTED)
async def list_jobs(call: Call, query: models.ListJobs) -> Answer:
    """List jobs, newest first."""
    past, at = await reading(call, query.as_of), await moment_of(call, query.as_of)
    wanted = [equals("handler", query.handler)] if query.handler else []
    if query.status:
        wanted.append(has_status(set(query.status), at or call.app.executor.clock()))
    rows = await past.page(JOBS, wanted, query.limit, query.offset)
    jobs = [without_keys(job) for job in await as_users_know_them(call, rows, at)]
    body = {"jobs": jobs, "count": len(jobs), "limit": query.limit, "offset": query.offset}
    return answer(body, headers=past.headers())


@packages.get("/api/jobs/{job_id}", action="job.read", answer=models.JobObject, raises=(NotFound,), gives=SHOWN)
async def show_job(call: Call, job_id: str, query: AsOf) -> Answer:
    """Show one job."""
    return await job_as_of(call, job_id, query.as_of)


async def job_as_of(call: Call, job_id: str, as_of: str | None = None) -> Answer:
    """A job as it is, or was."""
    past, at = await reading(call, as_of), await moment_of(call, as_of)
    job = (await as_users_know_them(call, [await find_job(past, job_id)], at))[0]
    return answer(job if may_read_rows(call) else without_keys(job), headers=past.headers())


async def moment_of(call: Call, as_of: str | None) -> datetime | None:
    """The moment that a caller asks about, in whatever way; None for now."""
    return None if as_of is None else await resolve_moment(call, as_of, "as_of")


@packages.post(
    "/api/jobs/{job_id}/cancel", action="job.cancel", answer=models.JobObject, raises=(NotFound, Clash), gives=SHOWN
)
async def cancel_job(call: Call, job_id: str, body: models.CancelBody) -> Answer:
    """Stop a job: at once when it waits, else as soon as its worker has undone what it began."""
    concern = await concern_of(call, job_id)
    await execute(call, commands.cancel_job, commands.CancelJob(parse_job_id(job_id), body.reason, concern))
    return await job_as_of(call, job_id)


@packages.post("/api/jobs/{job_id}/retry", action="job.retry", answer=models.JobObject, raises=(NotFound, Clash))
async def retry_job(call: Call, job_id: str) -> Answer:
    """Try a job again that did not succeed."""
    concern = await concern_of(call, job_id)
    await execute(call, commands.retry_job, commands.RetryJob(parse_job_id(job_id), concern))
    return await job_as_of(call, job_id)


@packages.get("/api/jobs/{job_id}/logs", action="job.log", answer=str, media_type=TEXT, raises=(NotFound,))
async def follow_log(call: Call, job_id: str, query: models.FollowLog) -> Answer:
    """Read what a job's handler wrote, a line each; with `follow` until the job ends.

    Where a line begins, in bytes, never changes: with `offset` a reader goes on where it was cut off.
    """
    await find_job(await reading(call), job_id)
    return Answer(media_type=TEXT, chunks=pieces(call, job_id, query.offset, query.follow))


async def concern_of(call: Call, job_id: str) -> Concern | None:
    """What follows from a turn of this job; NotFound without the job."""
    handler = call.app.handlers.get((await find_job(await reading(call), job_id))["handler"])
    return handler.concern if handler else None


async def pieces(call: Call, job_id: str, offset: int, follow: bool) -> AsyncGenerator[bytes, None]:
    """The log piece by piece, from a byte on."""
    until = asyncio.get_running_loop().time() + LONGEST_FOLLOW_SECONDS
    while True:
        # What was written before the end is there once the end is, so the end is looked for first.
        row = await find_job(await reading(call), job_id)
        async for piece in call.app.logs.read(call.caller.organisation, parse_job_id(job_id), offset):
            offset += len(piece)
            yield piece
        if not follow or row["status"] in ENDED or asyncio.get_running_loop().time() > until:
            return
        await asyncio.sleep(FOLLOW_SECONDS)


def parse_job_id(job_id: str) -> UUID:
    """The id behind its prefix; NotFound when there is none."""
    try:
        return UUID(job_id[-36:])
    except ValueError:
        raise NotFound("Job not found") from None


async def find_job(reading: Reading, job_id: str) -> Row:
    """The job's row, or NotFound; it is also known by the name of its stream, which is what its events bear."""
    rows = await reading.select(JOBS, [equals("key", str(parse_job_id(job_id)))], order="key")
    if not rows or job_id.lower() not in (name_of(rows[0]), f"job-{rows[0]['id']}"):
        raise NotFound("Job not found")
    return rows[0]


def name_of(row: Row) -> str:
    """The job's id as users see it."""
    return f"{row['prefix']}-{row['id']}"


def has_status(wanted: set[JobStatus], now: datetime) -> Condition:
    """The job has one of these statuses; what is kept as queued for later is pending."""
    queued = equals("status", JobStatus.QUEUED)
    found = [equals("status", one) for one in sorted(wanted - {JobStatus.PENDING, JobStatus.QUEUED})]
    if JobStatus.PENDING in wanted:
        found.append(all_of(queued, beyond("due_at", now, ascending=True)))
    if JobStatus.QUEUED in wanted:
        found.append(all_of(queued, at_most("due_at", now)))
    return any_of(*found)


def status_of(row: Row, at: datetime) -> str:
    """A queued job whose time has not come is pending."""
    waits = row["status"] == JobStatus.QUEUED and datetime.fromisoformat(row["due_at"]) > at
    return JobStatus.PENDING if waits else str(row["status"])


async def as_users_know_them(call: Call, rows: list[Row], at: datetime | None = None) -> list[dict[str, Any]]:
    """Jobs in the words of the document, as of a moment or now; how far they were at a moment nothing remembers."""
    names = await call.app.people.logins_of(call.caller.organisation, {row["actor"] for row in rows})
    ids = [] if at else [UUID(row["id"]) for row in rows]
    progress, now = await call.app.runs.progress(call.caller.organisation, ids), at or call.app.executor.clock()
    handlers = call.app.handlers
    return [told(row, now, names[row["actor"]], progress.get(row["id"]), handlers.get(row["handler"])) for row in rows]


def told(row: Row, at: datetime, user: str, progress: dict[str, Any] | None, handler: Handler | None) -> dict[str, Any]:
    """One job."""
    same = ("handler", "priority", "max_retries", "timeout_seconds", "last_error", "result", "cancelling", "worker")
    return {
        "job_id": name_of(row),
        "job_type": handler.kind if handler else row["handler"].lower(),
        "status": status_of(row, at),
        "scheduled_at": utc(row["due_at"]),
        "job_data": {**with_prefixes(row["arguments"]), "user": user},
        "retry_count": max(0, row["attempt"] - 1),
        **{name: utc(row[name]) for name in ("started_at", "completed_at", "created_at")},
        **{name: row[name] for name in same},
        "progress": progress and {**progress, "heard_at": utc(progress["heard_at"].isoformat())},
    }


def without_keys(job: dict[str, Any]) -> dict[str, Any]:
    """The job without the keys of rows: they are data, and too many for a list."""
    deployed = (job["result"] or {}).get("deployed")
    if not isinstance(deployed, dict):
        return job
    kept = {name: value for name, value in deployed.items() if name not in ("keys", "kept")}
    return {**job, "result": {**job["result"], "deployed": kept}}


def with_prefixes(arguments: dict[str, Any]) -> dict[str, Any]:
    """What was asked for, with ids as users know them."""
    return {name: f"{PREFIXES[name]}{value}" if name in PREFIXES else value for name, value in arguments.items()}
