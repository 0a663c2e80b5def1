"""Reads what a chain of events is made of: a few streams, and whole commits; never more of the log than that."""

from collections.abc import Sequence
from typing import Any

from adapters.postgres.event_store import decoded
from adapters.postgres.log import COLUMNS
from adapters.postgres.pools import Pools, again_when_cut_off
from domain.recorded import RecordedEvent
from projections.why import Told

IN_STREAMS = f"""
select {COLUMNS} from rollbook.events
 where stream_id = any(%s) and position <= %s order by position
"""
# Whole commits: each begins behind the one before it, so that its events are found by position alone.
IN_COMMITS = f"""
select {COLUMNS} from unnest(%s::bigint[]) as ended (at) cross join lateral (
    select e.* from rollbook.events e
     where e.position > rollbook.commit_before(ended.at - 1) and e.position <= ended.at offset 0) found
 order by position
"""
LAST_OF = f"""
select {COLUMNS} from rollbook.events
 where stream_id = %s and topic = any(%s) and position <= %s order by version desc limit 1
"""


class Chains:
    """Reads through row-level security, so that the events of another organisation do not exist."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools

    async def streams(self, organisation: str, stream_ids: Sequence[str], position: int) -> list[RecordedEvent]:
        """All events of these streams up to a position, in order."""
        return await self.fetch(organisation, IN_STREAMS, [list(stream_ids), position])

    async def commits(self, organisation: str, ends: Sequence[int]) -> list[RecordedEvent]:
        """All events of the commits that end at these positions, in order."""
        return await self.fetch(organisation, IN_COMMITS, [sorted(set(ends))])

    async def last(
        self, organisation: str, stream_id: str, topics: Sequence[str], position: int
    ) -> RecordedEvent | None:
        """The last event of these topics in a stream up to a position."""
        found = await self.fetch(organisation, LAST_OF, [stream_id, list(topics), position])
        return found[0] if found else None

    async def fetch(self, organisation: str, query: str, values: list[Any]) -> list[RecordedEvent]:
        """Runs a query of ours as a reader of this organisation."""

        async def read() -> list[RecordedEvent]:
            async with self.pools.reading(organisation) as connection:
                cursor = await connection.execute(query.encode(), values, binary=True)
                return [RecordedEvent(*row) for row in await cursor.fetchall()]

        return await again_when_cut_off(read)


def told(events: Sequence[RecordedEvent], stream_id: str) -> list[Told]:
    """The events of one stream, each with the event of the domain that it holds."""
    return [(e, decoded_of(e)) for e in events if e.stream_id == stream_id]


def decoded_of(event: RecordedEvent) -> Any:
    """The event of the domain."""
    return decoded(event.topic, event.schema_version, event.payload, event.stream_id, event.version, event.recorded_at)
