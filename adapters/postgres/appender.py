"""Group commit: the commits that wait are appended together, in one call and one transaction."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, cast
from uuid import UUID

import structlog
import uuid_utils.compat as uuid_utils
from eventsourcing.utils import get_topic

from adapters import metrics
from adapters.failpoints import failpoint
from adapters.postgres import codec
from adapters.postgres.pools import FULL, Pools, again_when_cut_off
from application.ports.event_store import (
    Appended,
    CommandKey,
    Commit,
    Conflict,
    DomainEvent,
    Taken,
)
from domain.errors import KeyReused, RollbookError, StorageFull, TooLarge, Unavailable
from domain.recorded import RecordedEvent

log = structlog.get_logger()
MAX_COMMITS = 128
MAX_EVENTS = 4000
GIVE_UP_SECONDS = 8.0
EventRow = tuple[UUID, str, int, str, int, bytes, bytes]
STATEMENT = """
select outcome, last_position, at, first_status, first_resource from rollbook.append_in_epoch(
    %b::int4, %b::text[], %b::int4[], %b::int4[],
    %b::uuid[], %b::text[], %b::int4[], %b::text[], %b::int4[], %b::bytea[], %b::bytea[],
    %b::int4[], %b::text[], %b::int4[], %b::int4[], %b::text[], %b::text[], %b::bool[],
    %b::uuid[], %b::bytea[], %b::int4[], %b::text[])
"""


@dataclass(slots=True)
class Waiting:
    """A commit on its way into the log."""

    commit: Commit
    rows: list[EventRow]
    done: asyncio.Future[Appended]


def event_rows(commit: Commit) -> list[EventRow]:
    """The commit's events as they will be stored; TooLarge when one exceeds the limit."""
    command_id = commit.key.command_id if commit.key else uuid_utils.uuid7()
    return [
        event_row(commit, command_id, stream_id, event)
        for stream_id, events in commit.streams.items()
        for event in events
    ]


def event_row(commit: Commit, command_id: UUID, stream_id: str, event: DomainEvent) -> EventRow:
    """One event in bytes."""
    event_id = uuid_utils.uuid7()
    payload = codec.encode_payload(event)
    envelope = codec.encode_envelope(event, event_id, stream_id, command_id, commit)
    if len(payload) + len(envelope) + codec.STAMP_BYTES > codec.MAX_EVENT_BYTES:
        raise TooLarge(f"An event of this request would exceed {codec.MAX_EVENT_BYTES} bytes")
    topic = get_topic(type(event))
    return (
        event_id,
        stream_id,
        event.originator_version,
        topic,
        codec.schema_version(cast(Hashable, type(event))),
        envelope,
        payload,
    )


class Appender:
    """Takes commits in the order in which they were decided; one call to the database is under way at a time.

    `epoch` is the one in which everything was read that commits rest on; in another one nothing is appended.
    `disk_is_full` is asked before each; `refused_as_full` tells whether the store itself said so last.
    """

    def __init__(
        self, pools: Pools, epoch: int | None = None, disk_is_full: Callable[[], bool] = lambda: False
    ) -> None:
        self.pools = pools
        self.epoch = epoch
        self.disk_is_full = disk_is_full
        self.refused_as_full = False
        self.queue: deque[Waiting] = deque()
        self.flushing: asyncio.Task[None] | None = None

    async def append(self, commit: Commit) -> Appended:
        """Queues before it first waits, so that decisions keep their order. Returns when the commit is durable."""
        if self.disk_is_full():
            raise StorageFull(FULL)
        waiting = Waiting(commit, event_rows(commit), asyncio.get_running_loop().create_future())
        self.queue.append(waiting)
        if self.flushing is None:
            self.flushing = asyncio.create_task(self.flush())
        return await asyncio.shield(waiting.done)

    async def flush(self) -> None:
        """Appends until nothing waits; whoever waits still when it is cancelled is told so."""
        try:
            while self.queue:
                await self.append_together(self.next_group())
        finally:
            self.flushing = None
            settle_all(self.queue, Unavailable("The event store is stopping"))
            self.queue.clear()

    def next_group(self) -> list[Waiting]:
        """As many commits as one call may carry, at least one."""
        group = [self.queue.popleft()]
        events = len(group[0].rows)
        while self.queue and len(group) < MAX_COMMITS and events + len(self.queue[0].rows) <= MAX_EVENTS:
            events += len(self.queue[0].rows)
            group.append(self.queue.popleft())
        return group

    async def append_together(self, group: list[Waiting]) -> None:
        """One call. What breaks it breaks the whole group, so each commit is then tried alone, once."""
        try:
            outcomes = await self.call(group)
        except RollbookError as refusal:
            self.refused_as_full = isinstance(refusal, StorageFull)
            settle_all(group, refusal)
        except Exception as problem:
            if len(group) > 1:
                for one in group:
                    await self.append_together([one])
            else:
                log.error("append.failed", problem=type(problem).__name__, sqlstate=getattr(problem, "sqlstate", None))
                settle_all(group, problem)
        except BaseException:
            settle_all(group, Unavailable("The event store is stopping"))
            raise
        else:
            self.refused_as_full = False
            for one, row in zip(group, outcomes, strict=True):
                settle(one, row)

    async def call(self, group: list[Waiting]) -> list[tuple[Any, ...]]:
        """Repeats the call while the database is away: the events' ids make that harmless."""
        parameters = [self.epoch, *call_parameters(group)]

        async def once() -> list[tuple[Any, ...]]:
            started = perf_counter()
            failpoint("before_append")
            async with self.pools.writer.connection() as connection:
                cursor = await connection.execute(STATEMENT, parameters, prepare=True, binary=True)
                rows = await cursor.fetchall()
            failpoint("after_commit")
            metrics.APPEND_SECONDS.observe(perf_counter() - started)
            metrics.APPEND_COMMITS.observe(len(group))
            return rows

        return await again_when_cut_off(once, GIVE_UP_SECONDS)

    async def close(self) -> None:
        """Waits for what is under way."""
        if self.flushing is not None:
            with suppress(Exception):
                await asyncio.wait_for(asyncio.shield(self.flushing), GIVE_UP_SECONDS)


def settle_all(group: Iterable[Waiting], problem: BaseException) -> None:
    """Tells everybody in the group what went wrong."""
    for one in group:
        if not one.done.done():
            one.done.set_exception(problem)


def settle(waiting: Waiting, row: tuple[Any, ...]) -> None:
    """Tells one commit what came of it."""
    outcome, position, at, status, resource = row
    if waiting.done.done():
        return
    if outcome in ("appended", "repeated"):
        repeated = outcome == "repeated"
        events = () if repeated else recorded(waiting, position, at)
        waiting.done.set_result(Appended(position, at, resource or waiting.commit.resource, status, repeated, events))
    elif outcome == "reused":
        waiting.done.set_exception(KeyReused("This Idempotency-Key came with another request before"))
    elif outcome == "restored":
        waiting.done.set_exception(Unavailable("The store was restored from a backup; nothing was recorded"))
    else:
        metrics.CONFLICTS.inc()
        waiting.done.set_exception(Taken() if outcome == "taken" else Conflict(outcome))


def recorded(waiting: Waiting, last: int, at: datetime) -> tuple[RecordedEvent, ...]:
    """The events of a commit as they stand in the log, as far as we know without reading them back."""
    first = last - len(waiting.rows) + 1
    organisation = waiting.commit.organisation
    return tuple(
        RecordedEvent(first + n, last, i, stream, v, topic, schema, organisation, 0, at, payload, envelope, b"", b"")
        for n, (i, stream, v, topic, schema, envelope, payload) in enumerate(waiting.rows)
    )


def call_parameters(group: list[Waiting]) -> list[list[Any]]:
    """The arrays that the append function takes."""
    firsts: list[int] = []
    lasts: list[int] = []
    rows: list[EventRow] = []
    for one in group:
        firsts.append(len(rows) + 1)
        rows += one.rows
        lasts.append(len(rows))
    events = [list(column) for column in zip(*rows, strict=True)]
    guards = [(n, s, v) for n, one in enumerate(group, 1) for s, v in one.commit.guards.items()]
    keys = [row for n, one in enumerate(group, 1) for row in key_rows(n, one.commit)]
    commands = [command_row(one.commit.key, one.commit.resource) for one in group]
    return [
        [one.commit.organisation for one in group],
        firsts,
        lasts,
        *events,
        *columns(guards, 3),
        *columns(keys, 4),
        *columns(commands, 4),
    ]


def key_rows(number: int, commit: Commit) -> list[tuple[int, str, str, bool]]:
    """The keys that a commit takes and gives back."""
    taken = [(number, key, stream_id, True) for key, stream_id in commit.taken.items()]
    return taken + [(number, key, "", False) for key in commit.released]


def command_row(key: CommandKey | None, resource: str) -> tuple[UUID | None, bytes | None, int | None, str | None]:
    """What is kept of a command that may come again."""
    return (key.command_id, key.digest, key.status, resource) if key else (None, None, None, None)


def columns(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows turned into columns, also when there are none."""
    return [[row[n] for row in rows] for n in range(width)]
