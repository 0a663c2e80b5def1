"""Reads the log in order, whole commits at a time, and wakes followers when it grows."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
import structlog

from adapters.postgres.clock import LogClock
from adapters.postgres.pools import CONNECT_SECONDS, VIGILANCE, Pools, again_when_cut_off
from domain.errors import RollbookError
from domain.recorded import RecordedEvent

log = structlog.get_logger()
POLL_SECONDS = 0.5
# So many events at once mean load: then a few large batches cost much less than many small ones.
MANY_EVENTS = 12
GATHER_SECONDS = 0.005
COLUMNS = """position, commit_position, event_id, stream_id, version, topic, schema_version,
             organisation, sequence, recorded_at, payload, envelope, previous_hash, hash"""


class Tail:
    """The events that were read last, for the follower that comes a moment later. `lock` lets one read at a time."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.forget()

    def forget(self) -> None:
        """What was read is of a log that is no more."""
        self.position = 0
        self.events: list[RecordedEvent] = []

    def keep(self, position: int, events: list[RecordedEvent]) -> None:
        """These follow directly behind a position."""
        self.position, self.events = position, events

    def beyond(self, position: int, limit: int) -> list[RecordedEvent]:
        """Whole commits beyond a position, as far as they are here."""
        if not self.events or not self.position <= position < self.events[-1].position:
            return []
        rest = [event for event in self.events if event.position > position]
        if len(rest) <= limit:
            return rest
        end = rest[limit - 1].commit_position
        return [event for event in rest if event.position <= end]


class PostgresLog:
    """The log as followers see it: projectors and the relay."""

    def __init__(self, pools: Pools, url: str) -> None:
        self.pools = pools
        self.url = url
        self.clock = LogClock()
        self.grown = asyncio.Event()
        self.seen = 0
        self.known: tuple[str, int] | None = None
        self.tail = Tail()
        self.listener: asyncio.Task[None] | None = None

    async def read_after(self, position: int, limit: int) -> list[RecordedEvent]:
        """Up to `limit` events beyond `position`, or a few more to finish the last commit; [] when there are none.

        What one follower of this process has just read the others get without asking the database again.
        """
        async with self.tail.lock:
            if not (events := self.tail.beyond(position, limit)):
                events = await self.fetch_after(position, limit)
                self.tail.keep(position, events)
        return events

    async def fetch_after(self, position: int, limit: int) -> list[RecordedEvent]:
        """As read_after, from the database."""
        heard = self.seen
        rows = await self.rows("position > %s order by position limit %s", [position, limit])
        if not rows and self.seen == heard:
            self.seen = min(heard, position)  # What was heard of is not there: nobody may wait for it without a pause.
        if rows and rows[-1].position < rows[-1].commit_position:
            rest = [rows[-1].position, rows[-1].commit_position]
            rows += await self.rows("position > %s and position <= %s order by position", rest)
        return rows

    async def fetch_some(
        self, position: int, until: int, limit: int, passed_over: Sequence[str]
    ) -> list[RecordedEvent]:
        """As fetch_after, but up to `until` and without the events of the aggregates that are passed over."""
        condition = "position > %s and position <= %s and split_part(stream_id, '-', 1) <> all(%s) order by position"
        some = list(passed_over)
        rows = await self.rows(f"{condition} limit %s", [position, until, some, limit])
        if rows and rows[-1].position < rows[-1].commit_position:
            rows += await self.rows(condition, [rows[-1].position, rows[-1].commit_position, some])
        return rows

    async def rows(self, condition: str, values: list[Any]) -> list[RecordedEvent]:
        """Events of the log that meet a condition of ours."""

        async def read() -> list[RecordedEvent]:
            async with self.pools.projector.connection() as connection:
                query = f"select {COLUMNS} from rollbook.events where {condition}"
                cursor = await connection.execute(query.encode(), values, binary=True)
                return [RecordedEvent(*row) for row in await cursor.fetchall()]

        return await again_when_cut_off(read)

    async def head(self) -> int:
        """The last position of the log, 0 when it is empty."""
        return int(await self.value("select coalesce(max(position), 0) from rollbook.events"))

    async def identity(self) -> tuple[str, int]:
        """The store's id, and its epoch: how often it was restored from a backup."""
        row = await self.row("select store_id, epoch, clock_timestamp() from rollbook.identity")
        found = (str(row[0]), int(row[1])) if row else ("", 0)
        if row:
            self.clock.hear(row[2])
        if found != self.known:
            self.known = found
            self.forget()
        return found

    def forget(self) -> None:
        """What was heard and read before this may be of a log that is no more."""
        self.seen = 0
        self.tail.forget()

    async def until_another(self, identity: tuple[str, int], stop: asyncio.Event) -> bool:
        """True as soon as the log is another one, or of another epoch; False when told to stop before."""
        while not stop.is_set():
            with suppress(RollbookError):
                if (now := await self.identity()) != identity:
                    log.warning("store.restored", store=now[0], epoch=now[1], before=identity[1])
                    return True
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)
        return False

    async def value(self, query: str) -> Any:
        """The one value that a query of ours answers."""
        row = await self.row(query)
        return row[0] if row else None

    async def row(self, query: str) -> Any:
        """The first row that a query of ours answers."""

        async def read() -> Any:
            async with self.pools.projector.connection() as connection:
                return await (await connection.execute(query.encode())).fetchone()

        return await again_when_cut_off(read)

    def wake(self, position: int) -> None:
        """Tells this process's followers that the log has grown to `position`."""
        self.seen = max(self.seen, position)
        self.grown.set()
        self.grown = asyncio.Event()

    async def wait_beyond(self, position: int, timeout: float = POLL_SECONDS, read: int = 0) -> None:
        """Returns when something beyond `position` may exist, at the latest after `timeout` seconds.

        Who has just `read` many events waits for a moment more, in which others come together.
        """
        self.listen()
        if read >= MANY_EVENTS:
            await asyncio.sleep(GATHER_SECONDS)
        if self.seen > position:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self.grown.wait(), min(timeout, POLL_SECONDS))

    def listen(self) -> None:
        """Starts the listener, again when it has ended."""
        if self.listener is None or self.listener.done():
            self.listener = asyncio.create_task(self.relay_notifications())

    async def relay_notifications(self) -> None:
        """Hears of appends by other processes, on a connection of its own; what it misses, the poll finds."""
        with suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(
                self.url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="rollbook listener",
                **VIGILANCE,
            ) as connection:
                await connection.execute("listen rollbook_events")
                async for note in connection.notifies():
                    if note.payload.isdecimal():
                        self.wake(int(note.payload))
        await asyncio.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Ends the listener."""
        if self.listener is not None:
            self.listener.cancel()
            with suppress(asyncio.CancelledError):
                await self.listener
