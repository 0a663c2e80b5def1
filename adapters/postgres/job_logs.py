"""The logs of jobs: lines while a job may go on, then text in the store of blobs; read as one stream of bytes."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from adapters.blobs.store import Blobs
from adapters.postgres.job_runs import JOBS, JobRuns
from application.ports.blobs import Blob
from projections.read_model import STILL

TOGETHER = 1000
ENDED = "('completed', 'failed', 'cancelled', 'timeout')"
WRITE = """
insert into rollbook.job_logs (job_id, organisation, attempt, line)
select %s, %s, %s, line from unnest(%s::text[]) with ordinality as l (line, n) order by n
returning number
"""
LINES = """
select number, at, attempt, line from rollbook.job_logs
 where job_id = %s and number > %s and number <= %s order by number limit %s
"""
KEEP = """
with gone as (delete from rollbook.job_logs where job_id = %s and number <= %s returning 1)
insert into rollbook.job_log_parts (job_id, last_number, organisation, digest, size)
select %s, %s, %s, %s, %s where exists (select from gone)
on conflict do nothing returning 1
"""
LEFT = f"""
select r.organisation, r.job_id from rollbook.job_runs r
  join {JOBS} j on j.key = r.job_id::text and j.to_position = {STILL} and j.status in {ENDED}
 where exists (select from rollbook.job_logs l where l.job_id = r.job_id) limit %s
"""
OLD = "select organisation, job_id, last_number, digest from rollbook.job_log_parts where kept_at < %s limit %s"
DROP = "delete from rollbook.job_log_parts where job_id = %s and last_number = %s returning 1"
SHARED = "select 1 from rollbook.job_log_parts where digest = %s limit 1"
PARTS = "select digest, size, last_number from rollbook.job_log_parts where job_id = %s order by last_number"


class JobLogs:
    """Lines are told in the order in which they were written; where one begins, in bytes, never changes."""

    def __init__(self, runs: JobRuns, blobs: Blobs) -> None:
        self.runs = runs
        self.blobs = blobs

    async def write(self, organisation: str, job_id: UUID, attempt: int, lines: Sequence[str]) -> None:
        """Adds lines."""
        await self.runs.write(organisation, WRITE, [job_id, organisation, attempt, list(lines)])

    async def read(self, organisation: str, job_id: UUID, offset: int) -> AsyncGenerator[bytes, None]:
        """What there is from this byte on; once more from where it came to, when lines became a blob meanwhile."""
        parts = None
        while parts != (found := await self.runs.read(organisation, PARTS, [job_id])):
            parts = found
            async for chunk in self.once(organisation, job_id, parts, offset):
                offset += len(chunk)
                yield chunk

    async def once(
        self, organisation: str, job_id: UUID, parts: Sequence[tuple[str, int, int]], offset: int
    ) -> AsyncIterator[bytes]:
        """These parts and the lines that are in none, from this byte on."""
        for digest, size, _ in parts:
            if offset < size:
                async for chunk in self.blobs.read(digest, offset):
                    yield chunk
            offset = max(0, offset - size)
        async for piece in self.pieces(organisation, job_id, 2**62):
            if offset < len(piece):
                yield piece[offset:]
            offset = max(0, offset - len(piece))

    async def pieces(self, organisation: str, job_id: UUID, last: int) -> AsyncIterator[bytes]:
        """The lines up to a number that are in no blob yet, as text."""
        after = 0
        while found := await self.runs.read(organisation, LINES, [job_id, after, last, TOGETHER]):
            after = found[-1][0]
            yield "".join(f"{in_utc(at)} [{attempt}] {line}\n" for _, at, attempt, line in found).encode()

    async def keep(self, organisation: str, job_id: UUID) -> Blob | None:
        """Makes the lines of a job that has ended a blob; None when there are none, or another was faster."""
        query = "select max(number) from rollbook.job_logs where job_id = %s"
        last = (await self.runs.read(organisation, query, [job_id]))[0][0]
        if last is None:
            return None
        blob = await self.blobs.put(self.pieces(organisation, job_id, last))
        values = [job_id, last, job_id, last, organisation, blob.digest, blob.size]
        return blob if await self.runs.write(organisation, KEEP, values) else None

    async def left(self, limit: int = 100) -> list[tuple[str, UUID]]:
        """Jobs that have ended and whose lines are no blob yet."""
        found: list[tuple[str, UUID]] = await self.runs.look(LEFT, [limit])
        return found

    async def forget(self, kept_before: datetime, limit: int = 1000) -> int:
        """Forgets logs that are old; how many parts."""
        found = await self.runs.look(OLD, [kept_before, limit])
        for organisation, job_id, last, digest in found:
            await self.runs.write(organisation, DROP, [job_id, last])
            if not await self.runs.look(SHARED, [digest]):
                await self.blobs.delete(digest)
        return len(found)


def in_utc(moment: datetime) -> str:
    """A moment with its Z, whatever the session's time zone is."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
