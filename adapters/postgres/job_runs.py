"""What is known of jobs while they run: the lease of their worker, their progress, the lines of their logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from adapters.postgres.pools import Pools, again_when_cut_off
from application.ports.job_queue import WaitingJob
from domain.errors import LeaseLost
from projections.jobs import Jobs
from projections.read_model import STILL, table

HEARTBEAT = """
insert into rollbook.job_runs (job_id, organisation, fence, expires_at, progress) values (%s, %s, %s, %s, %s)
on conflict (job_id) do update
   set fence = excluded.fence, expires_at = excluded.expires_at, progress = excluded.progress,
       heard_at = clock_timestamp()
 where job_runs.fence < excluded.fence
    or (job_runs.fence = excluded.fence and job_runs.expires_at <> '-infinity')
returning fence
"""
CANCELLING = f"""
select (document::json ->> 'cancelling')::bool from rollbook_views.{table(Jobs)}
 where key = %s and to_position = {STILL}
"""
GIVE_UP = """
insert into rollbook.job_runs (job_id, organisation, fence, expires_at) values (%s, %s, %s, '-infinity')
on conflict (job_id) do update set fence = excluded.fence, expires_at = '-infinity'
 where job_runs.fence < excluded.fence or (job_runs.fence = excluded.fence and job_runs.expires_at < %s)
returning fence
"""
SILENT = f"""
select j.organisation, j.key::uuid, (j.document::json ->> 'fence')::int
  from rollbook_views.{table(Jobs)} j left join rollbook.job_runs r on r.job_id = j.key::uuid
 where j.to_position = {STILL} and j.status = 'processing'
   and case when r.fence = (j.document::json ->> 'fence')::int then r.expires_at < %s
            else (j.document::json ->> 'started_at')::timestamptz < %s end
 limit %s
"""
WAITING = f"""
select j.organisation, j.key::uuid, j.priority, (j.document::json ->> 'version_number')::int, j.from_position, j.due_at
  from rollbook_views.{table(Jobs)} j
 where j.to_position = {STILL} and j.status in ('queued', 'retry') and j.due_at <= %s
"""
BEGAN_TO_WAIT = f"{WAITING} and j.from_position > %s order by j.from_position limit %s"
CAME_DUE = f"{WAITING} and (j.due_at, j.key) > (%s, %s) order by j.due_at, j.key limit %s"
LINES = """
select number, at, attempt, line from rollbook.job_logs
 where job_id = %s and number > %s order by number limit %s
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A place in the order in which jobs come due."""

    at: datetime
    job_id: UUID


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a handler wrote; numbers grow, with gaps."""

    number: int
    at: datetime
    attempt: int
    line: str


class JobRuns:
    """Heartbeats, progress and log lines are no events: the log is for ever, and of these the last one counts."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools

    async def beat(
        self, organisation: str, job_id: UUID, fence: int, until: datetime, progress: dict[str, Any]
    ) -> bool:
        """Keeps the lease until then, and tells whether the job is to be cancelled.

        LeaseLost when it was given up or a newer one is there.
        """
        if not await self.write(organisation, HEARTBEAT, [job_id, organisation, fence, until, Jsonb(progress)]):
            raise LeaseLost("The lease on this job has ended")
        return (True,) in await self.read(organisation, CANCELLING, [str(job_id)])

    async def give_up(self, organisation: str, job_id: UUID, fence: int, now: datetime) -> bool:
        """Ends the lease unless a heartbeat came; afterwards no heartbeat can revive it."""
        return bool(await self.write(organisation, GIVE_UP, [job_id, organisation, fence, now]))

    async def silent(self, now: datetime, started_before: datetime, limit: int = 100) -> list[tuple[str, UUID, int]]:
        """Organisation, id and fence of jobs whose worker was not heard of in time."""
        rows: list[tuple[str, UUID, int]] = await self.look(SILENT, [now, started_before, limit])
        return rows

    async def began_to_wait(self, now: datetime, position: int, limit: int) -> tuple[list[WaitingJob], int]:
        """Jobs that may start and began to wait behind a position, and the position to go on from."""
        rows = await self.look(BEGAN_TO_WAIT, [now, position, limit])
        return [WaitingJob(*row[:4]) for row in rows], rows[-1][4] if rows else position

    async def came_due(self, now: datetime, place: Due, limit: int) -> tuple[list[WaitingJob], Due]:
        """Jobs whose time came behind a place, and the place to go on from."""
        rows = await self.look(CAME_DUE, [now, place.at, str(place.job_id), limit])
        return [WaitingJob(*row[:4]) for row in rows], Due(rows[-1][5], rows[-1][1]) if rows else place

    async def progress(self, organisation: str, job_ids: Sequence[UUID]) -> dict[str, dict[str, Any]]:
        """What their workers said last, by job; nothing for those of which none said anything."""
        query = "select job_id, progress, heard_at from rollbook.job_runs where job_id = any(%s)"
        found = await self.read(organisation, query, [list(job_ids)])
        return {str(job_id): {**progress, "heard_at": heard_at} for job_id, progress, heard_at in found}

    async def write_lines(self, organisation: str, job_id: UUID, attempt: int, lines: Sequence[str]) -> None:
        """Adds lines to a job's log."""
        query = """insert into rollbook.job_logs (job_id, organisation, attempt, line)
                   select %s, %s, %s, line from unnest(%s::text[]) with ordinality as l (line, n) order by n
                   returning number"""
        await self.write(organisation, query, [job_id, organisation, attempt, list(lines)])

    async def lines(self, organisation: str, job_id: UUID, after: int, limit: int = 1000) -> list[LogLine]:
        """Lines behind a number, in order."""
        return [LogLine(*row) for row in await self.read(organisation, LINES, [job_id, after, limit])]

    async def read(self, organisation: str, query: str, values: list[Any]) -> list[Any]:
        """Asks as a reader of this organisation."""

        async def run() -> list[Any]:
            async with self.pools.reading(organisation) as connection:
                rows: list[Any] = await (await connection.execute(query.encode(), values)).fetchall()
                return rows

        return await again_when_cut_off(run)

    async def write(self, organisation: str, query: str, values: list[Any]) -> list[Any]:
        """Runs a statement of ours as a writer of this organisation."""

        async def run() -> list[Any]:
            async with self.pools.writing(organisation) as connection:
                rows: list[Any] = await (await connection.execute(query.encode(), values)).fetchall()
                return rows

        return await again_when_cut_off(run)

    async def look(self, query: str, values: list[Any]) -> list[Any]:
        """Asks over all organisations, as the projector."""

        async def read() -> list[Any]:
            async with self.pools.projector.connection() as connection:
                rows: list[Any] = await (await connection.execute(query.encode(), values)).fetchall()
                return rows

        return await again_when_cut_off(read)
