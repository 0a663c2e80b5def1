"""What one subscriber reads: the past from the store, then the end of the log, without a gap and nothing twice."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from adapters.feed.broadcast import Batch, Broadcast
from adapters.feed.past import AnotherEpoch, Page, Past
from adapters.feed.streams import Streams
from adapters.feed.telling import Piece, Teller
from adapters.feed.wanted import Wanted
from adapters.metrics import FEED_SUBSCRIBERS
from domain.errors import RateLimited, Unavailable
from domain.recorded import RecordedEvent


@dataclass(frozen=True, slots=True)
class Limits:
    """How many may read along in this process, of one organisation too, and after how many silent seconds they are
    told how far the feed has come."""

    subscribers: int
    of_one: int
    heartbeat_seconds: float


class Feed:
    """The feed of one process."""

    def __init__(self, broadcast: Broadcast, past: Past, streams: Streams, teller: Teller, limits: Limits) -> None:
        self.broadcast = broadcast
        self.past = past
        self.streams = streams
        self.teller = teller
        self.limits = limits
        self.members: dict[str, int] = {}

    def refuse_more(self, organisation: str) -> None:
        """Raises Unavailable or RateLimited where nobody else may read along now."""
        if self.broadcast.ended:
            raise Unavailable("This process is ending: subscribe again elsewhere")
        self.refuse_crowd(organisation)

    def refuse_crowd(self, organisation: str) -> None:
        """Raises where there are as many as there may be."""
        if sum(self.members.values()) >= self.limits.subscribers:
            raise Unavailable("This process has all the subscribers that it may have", retry_after=5)
        if self.members.get(organisation, 0) >= self.limits.of_one:
            raise RateLimited("The organisation has all the subscribers that it may have", retry_after=5)

    @asynccontextmanager
    async def member(self, organisation: str) -> AsyncGenerator[None, None]:
        """Counts a subscriber as long as it is one; asked again, as others may have come in between."""
        self.refuse_crowd(organisation)
        self.members[organisation] = self.members.get(organisation, 0) + 1
        FEED_SUBSCRIBERS.inc()
        try:
            await self.broadcast.join()
            try:
                yield
            finally:
                self.broadcast.leave()
        finally:
            FEED_SUBSCRIBERS.dec()
            self.members[organisation] -= 1
            if not self.members[organisation]:
                del self.members[organisation]

    async def drain(self, seconds: float = 1.0) -> None:
        """Lets all subscribers go, and waits for them a moment."""
        self.broadcast.end("drain")
        await self.broadcast.empty(seconds)

    async def close(self) -> None:
        """Ends the follower."""
        await self.broadcast.close()


class Subscription:
    """`position` is how far it has come: everything up to there was given or is not wanted. It ends at the `goal`."""

    def __init__(self, feed: Feed, organisation: str, wanted: Wanted, position: int, goal: int | None = None) -> None:
        self.feed = feed
        self.organisation = organisation
        self.wanted = wanted
        self.position = position
        self.goal = goal
        self.sequence: int | None = None
        self.ahead: asyncio.Task[Page] | None = None
        self.given = monotonic()

    @property
    def ended(self) -> str:
        """Why the feed lets everybody go; empty while it does not."""
        return self.feed.broadcast.ended

    @property
    def arrived(self) -> bool:
        """Whether the goal is reached."""
        return self.goal is not None and self.position >= self.goal

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """What there is, and an empty piece from time to time; ends at the goal, or when the feed ends."""
        async with self.feed.member(self.organisation):
            try:
                while not self.ended and not self.arrived:
                    grown = self.feed.broadcast.grown
                    piece = await self.next_piece()
                    if piece.told or self.is_silent() or self.arrived:
                        yield piece
                        self.given = monotonic()
                    elif self.is_at_end():
                        await grown.wait()
            except AnotherEpoch:
                self.feed.broadcast.end("epoch")
            finally:
                self.forget_ahead()

    def is_silent(self) -> bool:
        """Whether nothing was given for some time."""
        return monotonic() - self.given >= self.feed.limits.heartbeat_seconds

    def is_at_end(self) -> bool:
        """Whether the end of the log is reached, as far as this process has read it."""
        return self.position >= self.feed.broadcast.until

    async def next_piece(self) -> Piece:
        """What follows, which may be nothing: from memory where it goes back so far, else from the store."""
        broadcast = self.feed.broadcast
        if self.position < broadcast.since:
            return await self.from_store()
        batch = broadcast.next(self.position)
        piece = Piece(self.position, []) if batch is None else await self.of_batch(batch)
        self.position = piece.until
        return piece

    async def from_store(self) -> Piece:
        """A page of the past."""
        if self.sequence is None:
            self.sequence = await self.feed.past.sequence_at(self.organisation, self.position)
        page = await (self.ahead or self.page_after(self.position, self.sequence))
        self.sequence = page.events[-1].sequence if page.events else None
        self.ahead = self.page_after(page.until, self.sequence) if self.sequence is not None else None
        teller, rows = self.feed.teller, self.wanted.rows
        told = [teller.told(event, rows) for event in await self.chosen(page.events)]
        self.position = self.up_to_goal(page.until)
        return Piece(self.position, told)

    def page_after(self, position: int, sequence: int) -> asyncio.Task[Page]:
        """The next page, read while the one before it is sent."""
        return asyncio.create_task(self.feed.past.page(self.organisation, position, sequence))

    def forget_ahead(self) -> None:
        """What was read ahead is not needed."""
        if self.ahead is not None and not self.ahead.cancel() and not self.ahead.cancelled():
            self.ahead.exception()
        self.ahead = None

    async def of_batch(self, batch: Batch) -> Piece:
        """What a batch has; put together once for all who want the same of it."""
        self.forget_ahead()
        self.sequence = None
        whole = self.position <= batch.since and self.goal is None
        if whole and (shared := batch.pieces.get((self.organisation, self.wanted))):
            return shared
        events = await self.chosen(batch.beyond(self.organisation, self.position))
        told = [batch.told(event, self.wanted.rows, self.feed.teller) for event in events]
        piece = Piece(self.up_to_goal(batch.until), told)
        if whole:
            batch.share(self.organisation, self.wanted, piece)
        return piece

    def up_to_goal(self, position: int) -> int:
        """The position, but never beyond the goal."""
        return position if self.goal is None else min(position, self.goal)

    async def chosen(self, events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
        """Those that are wanted."""
        found = [event for event in events if self.wanted.takes_topic(event.topic)]
        if self.goal is not None:
            found = [event for event in found if event.position <= self.goal]
        if not self.wanted.asks_what_it_is_about or not found:
            return found
        about = await self.feed.streams.about(self.organisation, found)
        return [event for event, one in zip(found, about, strict=True) if self.wanted.takes(one)]
