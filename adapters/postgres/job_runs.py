"""What is known of jobs while they wait and run: which may start, whose worker lives, how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from adapters.postgres.pools import Pools, again_when_cut_off
from application.ports.job_queue import WaitingJob
from domain.errors import LeaseLost
from projections.jobs import Jobs
from projections.read_model import STILL, table

JOBS = f"rollbook_views.{table(Jobs)}"
BEAT = """
insert into rollbook.job_runs (job_id, organisation, fence, progress) values (%s, %s, %s, %s)
on conflict (job_id) do update
   set fence = excluded.fence, over = false, progress = excluded.progress, heard_at = clock_timestamp(),
       beats = case when job_runs.fence = excluded.fence then job_runs.beats + 1 else 1 end
 where job_runs.fence < excluded.fence or (job_runs.fence = excluded.fence and not job_runs.over)
returning fence
"""
CANCELLING = f"select (document::json ->> 'cancelling')::bool from {JOBS} where key = %s and to_position = {STILL}"
GIVE_UP = """
insert into rollbook.job_runs (job_id, organisation, fence, beats, over) values (%s, %s, %s, 0, true)
on conflict (job_id) do update set fence = excluded.fence, beats = 0, over = true
 where job_runs.fence < excluded.fence or (job_runs.fence = excluded.fence and job_runs.beats <= %s)
returning fence
"""
RUNNING = f"""
select j.organisation, j.key::uuid, (j.document::json ->> 'fence')::int,
       case when r.fence = (j.document::json ->> 'fence')::int then r.beats else 0 end,
       j.document::json ->> 'correlation_id'
  from {JOBS} j left join rollbook.job_runs r on r.job_id = j.key::uuid
 where j.to_position = {STILL} and j.status = 'processing'
"""
MAY_START = f"j.to_position = {STILL} and j.status in ('queued', 'retry') and j.due_at <= %s"
WAITING = f"""
select j.organisation, j.key::uuid, j.priority, (j.document::json ->> 'version_number')::int,
       j.document::json ->> 'correlation_id', j.document::json ->> 'traceparent', j.from_position, j.due_at
  from {JOBS} j where {MAY_START}
"""
BEGAN_TO_WAIT = f"{WAITING} and j.from_position > %s order by j.from_position limit %s"
CAME_DUE = f"{WAITING} and (j.due_at, j.key) > (%s, %s) order by j.due_at, j.key limit %s"
STATE = f"""
select (select count(*) from {JOBS} j where {MAY_START}),
       (select count(*) from {JOBS} where to_position = {STILL} and status = 'processing'),
       (select coalesce(extract(epoch from %s - min(j.due_at)), 0)::float8 from {JOBS} j where {MAY_START})
"""
FORGET = f"""
select r.organisation, r.job_id from rollbook.job_runs r left join {JOBS} j
       on j.key = r.job_id::text and j.to_position = {STILL}
 where r.heard_at < %s and coalesce(j.status, '') not in ('queued', 'retry', 'processing') limit %s
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A place in the order in which jobs come due."""

    at: datetime
    job_id: UUID


@dataclass(frozen=True, slots=True)
class JobsState:
    """How many jobs may start, how many workers have, and for how many seconds one of the former could have started."""

    waiting: int = 0
    running: int = 0
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that some worker has; `beats` counts what was heard of that worker."""

    organisation: str
    job_id: UUID
    fence: int
    beats: int
    correlation_id: str | None = None


class JobRuns:
    """Signs of life and progress are no events: the log is for ever, and of these the last one counts."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools

    async def beat(self, organisation: str, job_id: UUID, fence: int, progress: dict[str, Any]) -> bool:
        """Says that the worker lives, and tells whether the job is to be cancelled.

        LeaseLost when it was given up or a newer one is there.
        """
        if not await self.write(organisation, BEAT, [job_id, organisation, fence, Jsonb(progress)]):
            raise LeaseLost("The lease on this job has ended")
        return (True,) in await self.read(organisation, CANCELLING, [str(job_id)])

    async def give_up(self, job: RunningJob) -> bool:
        """Ends the lease unless more was heard of the worker; afterwards nothing can revive it."""
        values = [job.job_id, job.organisation, job.fence, job.beats]
        return bool(await self.write(job.organisation, GIVE_UP, values))

    async def running(self) -> list[RunningJob]:
        """All jobs that workers have, with what was heard of these."""
        return [RunningJob(*row) for row in await self.look(RUNNING, [])]

    async def now(self) -> datetime:
        """The clock of the log, by which things were recorded."""
        at: datetime = (await self.look("select clock_timestamp()", []))[0][0]
        return at

    async def moment_at(self, position: int) -> datetime | None:
        """When the last thing was recorded up to a position, whoever's it was; None before the first."""
        query = "select recorded_at from rollbook.events where position <= %s order by position desc limit 1"
        found = await self.look(query, [position])
        return found[0][0] if found else None

    async def waiting(self, now: datetime) -> int:
        """How many jobs may start."""
        return int((await self.look(f"select count(*) from {JOBS} j where {MAY_START}", [now]))[0][0])

    async def state(self) -> JobsState:
        """How the queue stands; as if it were empty before its read model is there."""
        now = await self.now()
        try:
            return JobsState(*(await self.look(STATE, [now, now, now]))[0])
        except psycopg.errors.UndefinedTable:
            return JobsState()

    async def began_to_wait(self, now: datetime, position: int, limit: int) -> tuple[list[WaitingJob], int]:
        """Jobs that may start and began to wait behind a position, and the position to go on from."""
        rows = await self.look(BEGAN_TO_WAIT, [now, position, limit])
        return [WaitingJob(*row[:6]) for row in rows], rows[-1][6] if rows else position

    async def came_due(self, now: datetime, place: Due, limit: int) -> tuple[list[WaitingJob], Due]:
        """Jobs whose time came behind a place, and the place to go on from."""
        rows = await self.look(CAME_DUE, [now, place.at, str(place.job_id), limit])
        return [WaitingJob(*row[:6]) for row in rows], Due(rows[-1][7], rows[-1][1]) if rows else place

    async def progress(self, organisation: str, job_ids: Sequence[UUID]) -> dict[str, dict[str, Any]]:
        """What their workers said last, by job; nothing for those of which none said anything."""
        query = "select job_id, progress, heard_at from rollbook.job_runs where job_id = any(%s)"
        found = await self.read(organisation, query, [list(job_ids)])
        return {str(job_id): {**progress, "heard_at": heard_at} for job_id, progress, heard_at in found}

    async def forget(self, heard_before: datetime, limit: int = 1000) -> int:
        """Forgets the progress of jobs that have ended; how many."""
        found = await self.look(FORGET, [heard_before, limit])
        for organisation, job_id in found:
            await self.write(organisation, "delete from rollbook.job_runs where job_id = %s returning 1", [job_id])
        return len(found)

    async def read(self, organisation: str, query: str, values: list[Any]) -> list[Any]:
        """Asks as a reader of this organisation."""

        async def run() -> list[Any]:
            async with self.pools.reading(organisation) as connection:
                return await rows_of(connection, query, values)

        return await again_when_cut_off(run)

    async def write(self, organisation: str, query: str, values: list[Any]) -> list[Any]:
        """Runs a statement of ours as a writer of this organisation."""

        async def run() -> list[Any]:
            async with self.pools.writing(organisation) as connection:
                return await rows_of(connection, query, values)

        return await again_when_cut_off(run)

    async def look(self, query: str, values: list[Any]) -> list[Any]:
        """Asks over all organisations, as the projector."""

        async def run() -> list[Any]:
            async with self.pools.projector.connection() as connection:
                return await rows_of(connection, query, values)

        return await again_when_cut_off(run)


async def rows_of(connection: AsyncConnection[Any], query: str, values: list[Any]) -> list[Any]:
    """What a query answers."""
    rows: list[Any] = await (await connection.execute(query.encode(), values)).fetchall()
    return rows
