"""Reads an organisation's past in pages of whole commits, from any position on."""

import asyncio
from dataclasses import dataclass
from typing import Any

from adapters.postgres.log import COLUMNS
from adapters.postgres.pools import Pools, again_when_cut_off
from domain.errors import Unavailable
from domain.recorded import RecordedEvent

PAGE_EVENTS = 256
PAGE_BYTES = 512 * 1024
AT_ONCE = 4
PAGE = f"""
select (select epoch from rollbook.identity), {COLUMNS}
  from (select {COLUMNS}, sum(octet_length(payload)) over (order by sequence) - octet_length(payload) as before
          from rollbook.events where organisation = %s and sequence > %s and sequence <= %s) page
 where before < %s order by sequence
"""
REST = f"""
select (select epoch from rollbook.identity), {COLUMNS}
  from rollbook.events where organisation = %s and sequence > %s and sequence <= %s order by sequence
"""


class AnotherEpoch(Unavailable):
    """The log was restored meanwhile."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, and the position up to which the organisation has no others."""

    events: list[RecordedEvent]
    until: int


class Past:
    """Pages of the log of one epoch; few are read at once, however many want some."""

    def __init__(self, pools: Pools, epoch: int) -> None:
        self.pools = pools
        self.epoch = epoch
        self.room = asyncio.Semaphore(AT_ONCE)

    async def sequence_at(self, organisation: str, position: int) -> int:
        """How many events of the organisation there are up to a position."""
        query = "select rollbook.sequence_at(%s, %s)"
        return int((await self.ask(organisation, query, [organisation, position]))[0][0])

    async def page(self, organisation: str, position: int, sequence: int) -> Page:
        """What follows on a position at which the organisation had so many events."""
        async with self.room:
            if events := await self.events(organisation, sequence):
                return Page(events, events[-1].position)
            # What was recorded up to here is there when it is looked for again, so that nothing is passed over.
            head = await self.head(organisation)
            events = await self.events(organisation, sequence)
            return Page(events, events[-1].position if events else max(position, head))

    async def events(self, organisation: str, sequence: int) -> list[RecordedEvent]:
        """Whole commits behind a sequence number, as many as make a page."""
        events = await self.rows(organisation, PAGE, [sequence, sequence + PAGE_EVENTS, PAGE_BYTES])
        if events and (left := events[-1].commit_position - events[-1].position):
            last = events[-1].sequence
            events += await self.rows(organisation, REST, [last, last + left])
        return events

    async def head(self, organisation: str) -> int:
        """The end of the log."""
        return int((await self.ask(organisation, "select rollbook.head()", []))[0][0])

    async def rows(self, organisation: str, query: str, values: list[int]) -> list[RecordedEvent]:
        """What a query of ours finds; AnotherEpoch when it is of another log than this one."""
        found = await self.ask(organisation, query, [organisation, *values])
        if found and found[0][0] != self.epoch:
            raise AnotherEpoch("The store was restored from a backup")
        return [RecordedEvent(*row[1:]) for row in found]

    async def ask(self, organisation: str, query: str, values: list[Any]) -> list[Any]:
        """Asks as a reader of this organisation."""

        async def read() -> list[Any]:
            async with self.pools.reading(organisation) as connection:
                return await (await connection.execute(query.encode(), values, binary=True)).fetchall()

        return await again_when_cut_off(read)
