"""The event store on Postgres: loads aggregates, appends commits, keeps snapshots of streams that grow."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg
import structlog
from eventsourcing.utils import resolve_topic

from adapters.postgres import codec
from adapters.postgres.appender import Appender
from adapters.postgres.log import COLUMNS
from adapters.postgres.pools import Pools, again_when_cut_off
from adapters.tracing import note, span
from application.ports.event_store import Appended, CommandKey, Commit, DomainEvent
from domain.errors import KeyReused, Unavailable
from domain.lane import Lane
from domain.recorded import RecordedEvent

log = structlog.get_logger()
SNAPSHOT_FORMAT = "1"
EVENTS_OF_STREAMS = """
select e.stream_id, e.version, e.topic, e.schema_version, e.recorded_at, e.payload
  from unnest(%s::text[], %s::int4[]) as wanted (stream_id, after)
 cross join lateral (select * from rollbook.events e
                      where e.stream_id = wanted.stream_id and e.version > wanted.after order by e.version) e
"""

MOVED = """
select exists (select from unnest(%s::text[], %s::int4[]) as known (stream_id, version)
                where version <> coalesce((select e.version from rollbook.events e where e.stream_id = known.stream_id
                                            order by e.version desc limit 1), 0))
"""


class PostgresEventStore:
    """Reads through row-level security, so that a stream of another organisation does not exist."""

    def __init__(
        self,
        pools: Pools,
        snapshot_every: int = 500,
        epoch: int | None = None,
        disk_is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self.pools = pools
        self.appender = Appender(pools, epoch, disk_is_full)
        self.snapshot_every = snapshot_every
        self.on_appended: list[Callable[[Commit, Appended], None]] = []

    async def load(self, organisation: str, stream_ids: Sequence[str]) -> dict[str, Any]:
        """The aggregates in these streams; absent ones are left out."""
        aggregates = await self.snapshots(organisation, [s for s in stream_ids if s.startswith("lane-")])
        after = [aggregates[s].version if s in aggregates else 0 for s in stream_ids]
        replayed: dict[str, int] = {}
        for stream_id, version, topic, schema, at, payload in await self.rows(organisation, list(stream_ids), after):
            event = decoded(topic, schema, payload, stream_id, version, at)
            aggregates[stream_id] = event.mutate(aggregates.get(stream_id))
            replayed[stream_id] = replayed.get(stream_id, 0) + 1
        for stream_id, count in replayed.items():
            if count >= self.snapshot_every and isinstance(aggregates[stream_id], Lane):
                await self.keep_snapshot(organisation, stream_id, aggregates[stream_id])
        return aggregates

    async def rows(self, organisation: str, stream_ids: list[str], after: list[int]) -> list[Any]:
        """The events of streams beyond a version each, in order."""

        async def read() -> list[Any]:
            async with self.pools.reading(organisation) as connection:
                cursor = await connection.execute(EVENTS_OF_STREAMS, [stream_ids, after], binary=True)
                return await cursor.fetchall()

        return await again_when_cut_off(read)

    async def moved(self, organisation: str, versions: Mapping[str, int]) -> bool:
        """Asked of the log, in one query."""

        async def read() -> Any:
            async with self.pools.reading(organisation) as connection:
                values = [list(versions), list(versions.values())]
                return await (await connection.execute(MOVED, values, binary=True)).fetchone()

        return bool((await again_when_cut_off(read))[0])

    async def snapshots(self, organisation: str, stream_ids: list[str]) -> dict[str, Any]:
        """The aggregates as their snapshots keep them, where there are any of today's format."""
        if not stream_ids:
            return {}

        async def read() -> list[Any]:
            query = "select stream_id, version, state from snapshots where stream_id = any(%s) and format = %s"
            async with self.pools.reading(organisation) as connection:
                cursor = await connection.execute(query, [stream_ids, SNAPSHOT_FORMAT], binary=True)
                return await cursor.fetchall()

        found = await again_when_cut_off(read)
        return {s: restore(s, version, orjson.loads(state)) for s, version, state in found}

    async def keep_snapshot(self, organisation: str, stream_id: str, lane: Lane) -> None:
        """Replaces the snapshot of a lane, unless a newer one is there; what prevents that costs the reader nothing."""
        query = """insert into snapshots values (%s, %s, %s, %s, %s)
                   on conflict (stream_id) do update set version = excluded.version, format = excluded.format,
                          state = excluded.state where snapshots.version < excluded.version"""
        row = [stream_id, organisation, lane.version, SNAPSHOT_FORMAT, orjson.dumps(lane.state())]
        try:
            async with self.pools.writing(organisation) as connection:
                await connection.execute(query, row)
        except psycopg.Error as problem:
            log.warning("snapshot.not_kept", stream_id=stream_id, problem=type(problem).__name__)

    @property
    def full(self) -> bool:
        """Whether commands are refused for want of disk space."""
        return self.appender.refused_as_full or self.appender.disk_is_full()

    async def append(self, commit: Commit) -> Appended:
        """See the port; commits of this process are appended in groups."""
        with span("append") as current:
            appended = await self.appender.append(commit)
            note(current, **{"rollbook.position": appended.position, "rollbook.events": len(appended.events)})
        if not appended.repeated:
            for tell in self.on_appended:
                tell(commit, appended)
        return appended

    async def history(self, organisation: str, stream_id: str) -> list[RecordedEvent]:
        """All events of one stream, in order."""

        async def read() -> list[RecordedEvent]:
            query = f"select {COLUMNS} from rollbook.events where stream_id = %s order by version"
            async with self.pools.reading(organisation) as connection:
                cursor = await connection.execute(query.encode(), [stream_id], binary=True)
                return [RecordedEvent(*row) for row in await cursor.fetchall()]

        return await again_when_cut_off(read)

    async def load_at(self, organisation: str, stream_id: str, position: int) -> Any | None:
        """The aggregate as it was at a position, without its snapshots; None when it was not there yet."""
        aggregate = None
        for e in await self.history(organisation, stream_id):
            if e.position <= position:
                event = decoded(e.topic, e.schema_version, e.payload, stream_id, e.version, e.recorded_at)
                aggregate = event.mutate(aggregate)
        return aggregate

    async def outcome(self, organisation: str, key: CommandKey) -> Appended | None:
        """What came of the command before, within the 7 days that outcomes are kept."""

        async def read() -> Any:
            query = """select request_digest, status, resource, position, recorded_at
                         from commands where command_id = %s"""
            async with self.pools.reading(organisation) as connection:
                return await (await connection.execute(query, [key.command_id], binary=True)).fetchone()

        if (row := await again_when_cut_off(read)) is None:
            return None
        digest, status, resource, position, at = row
        if bytes(digest) != key.digest:
            raise KeyReused("This Idempotency-Key came with another request before")
        return Appended(position, at, resource, status, repeated=True)

    async def close(self) -> None:
        """Waits for the commits that are under way."""
        await self.appender.close()


def decoded(topic: str, schema: int, payload: bytes, stream_id: str, version: int, at: datetime) -> DomainEvent:
    """An event of a stream; Unavailable when a newer release wrote it: nobody decides on what they cannot read."""
    try:
        return codec.decode(topic, schema, payload, UUID(stream_id.split("-", 1)[1]), version, at)
    except codec.UnknownEvent as newer:
        raise Unavailable(f"A newer release wrote this, ask one of its processes: {newer}") from newer


def restore(stream_id: str, version: int, state: dict[str, Any]) -> Any:
    """An aggregate from its snapshot."""
    kind, _, aggregate_id = stream_id.partition("-")
    return resolve_topic(kind).restore(UUID(aggregate_id), version, state)
