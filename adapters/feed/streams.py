"""Remembers what streams are about: most events of a deployment do not repeat its lane and its environment."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from adapters.feed.wanted import About, about_of
from adapters.postgres.log import COLUMNS
from adapters.postgres.pools import Pools, again_when_cut_off
from domain.recorded import RecordedEvent

REMEMBERED = 20_000
NOTHING = About()


class Streams:
    """What the first event of each stream says, for the streams that were asked about last."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.known: OrderedDict[str, About] = OrderedDict()
        self.asking = asyncio.Lock()

    async def about(self, organisation: str, events: Sequence[RecordedEvent]) -> list[About]:
        """What each of these events is about."""
        found = {event.stream_id: about_of(event) for event in events if event.version == 1}
        wanted = {event.stream_id for event in events} - found.keys()
        async with self.asking:
            unknown = sorted(wanted - self.known.keys())
            found |= await self.firsts(organisation, unknown) if unknown else {}
            found |= {stream: self.known[stream] for stream in wanted & self.known.keys()}
            self.remember(found)
        return [about_of(event).completed(found.get(event.stream_id, NOTHING)) for event in events]

    def remember(self, found: dict[str, About]) -> None:
        """Keeps these as the last, and forgets those that were asked about longest ago."""
        for stream, about in found.items():
            self.known[stream] = about
            self.known.move_to_end(stream)
        while len(self.known) > REMEMBERED:
            self.known.popitem(last=False)

    async def firsts(self, organisation: str, streams: list[str]) -> dict[str, About]:
        """What the first events of streams say."""

        async def read() -> list[Any]:
            query = f"select {COLUMNS} from rollbook.events where stream_id = any(%s) and version = 1"
            async with self.pools.reading(organisation) as connection:
                cursor = await connection.execute(query.encode(), [streams], binary=True)
                return await cursor.fetchall()

        rows = [RecordedEvent(*row) for row in await again_when_cut_off(read)]
        return {event.stream_id: about_of(event) for event in rows}
