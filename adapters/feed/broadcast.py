"""Follows the log once for all who read along in this process, and remembers its end for them."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

import structlog

from adapters.feed.telling import Piece, Teller, Told
from adapters.feed.wanted import Wanted
from adapters.postgres.log import PostgresLog
from domain.recorded import RecordedEvent

log = structlog.get_logger()
READ_AT_ONCE = 256
REMEMBERED_BYTES = 16 * 1024 * 1024
TICK_SECONDS = 3.0
PAUSE_SECONDS = 0.5
# So many different wishes share what was put together for them; each further one has its own made.
MOST_PIECES = 64


class Batch:
    """Whole commits that were read at once, of all organisations; and what was made of them for subscribers."""

    def __init__(self, since: int, events: Sequence[RecordedEvent]) -> None:
        self.since = since
        self.until = events[-1].position
        self.size = sum(len(event.payload) + len(event.envelope_bytes) for event in events)
        self.of: dict[str, list[RecordedEvent]] = {}
        self.pieces: dict[tuple[str, Wanted], Piece] = {}
        self.written: dict[tuple[int, bool], Told] = {}
        for event in events:
            self.of.setdefault(event.organisation, []).append(event)

    def beyond(self, organisation: str, position: int) -> list[RecordedEvent]:
        """The organisation's events beyond a position."""
        events = self.of.get(organisation, [])
        return events if position <= self.since else [event for event in events if event.position > position]

    def told(self, event: RecordedEvent, rows: bool, teller: Teller) -> Told:
        """One of its events, written once for all."""
        if (found := self.written.get((event.position, rows))) is None:
            found = self.written[event.position, rows] = teller.told(event, rows)
        return found

    def share(self, organisation: str, wanted: Wanted, piece: Piece) -> None:
        """Keeps what was put together, for the others who want the same."""
        if len(self.pieces) < MOST_PIECES:
            self.pieces[organisation, wanted] = piece


class Broadcast:
    """The end of the log, as long as somebody listens. `grown` is set, and replaced, when there is more or time passes.

    Nobody is sent anything: each subscriber takes what is here at its own pace, and who is slower than what is
    remembered reads the store. So the slow cost the quick nothing, and nothing is kept for any one of them.
    """

    def __init__(self, log: PostgresLog, identity: tuple[str, int]) -> None:
        self.log = log
        self.identity = identity
        self.batches: deque[Batch] = deque()
        self.size = 0
        self.until = 0
        self.grown = asyncio.Event()
        self.ended = ""
        self.listeners = 0
        self.starting = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None
        self.ticked = 0.0

    async def join(self) -> None:
        """One more listens; whoever joins leaves again."""
        self.listeners += 1
        try:
            async with self.starting:
                if self.task is None or self.task.done():
                    await self.begin()
        except BaseException:
            self.listeners -= 1
            raise

    async def begin(self) -> None:
        """Follows from the present end of the log on."""
        self.until = await self.log.head()
        self.batches.clear()
        self.size = 0
        self.task = asyncio.create_task(self.follow())

    def leave(self) -> None:
        """One less listens."""
        self.listeners -= 1

    def end(self, why: str) -> None:
        """Lets everybody go, now and in future."""
        self.ended = self.ended or why
        self.wake()

    async def empty(self, seconds: float) -> None:
        """Returns when everybody has gone, at the latest after so long."""
        until = monotonic() + seconds
        while self.listeners and monotonic() < until:
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Ends the follower."""
        self.end("closed")
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task

    async def follow(self) -> None:
        """Until nobody listens; what fails is tried again."""
        while self.listeners > 0 and not self.ended:
            try:
                await self.read_on()
            except Exception as problem:
                log.warning("feed.stands_still", problem=type(problem).__name__, position=self.until)
                self.tick()
                await asyncio.sleep(PAUSE_SECONDS)

    async def read_on(self) -> None:
        """Takes what the log has more, or waits for that."""
        events = await self.log.read_after(self.until, READ_AT_ONCE)
        # Asked after every read: what was read before the log was restored is told in its own epoch or never.
        if await self.log.identity() != self.identity:
            return self.end("epoch")
        if events:
            self.keep(Batch(self.until, events))
        self.tick()
        if len(events) < READ_AT_ONCE:
            await self.log.wait_beyond(self.until, read=len(events))

    def keep(self, batch: Batch) -> None:
        """Remembers a batch, forgets the oldest, and tells everybody."""
        if self.batches:
            self.batches[-1].pieces.clear()
        self.batches.append(batch)
        self.until = batch.until
        self.size += batch.size
        while self.size > REMEMBERED_BYTES and len(self.batches) > 1:
            self.size -= self.batches.popleft().size
        self.wake()

    def tick(self) -> None:
        """Wakes everybody from time to time, so that none needs a clock of its own."""
        if monotonic() > self.ticked + TICK_SECONDS:
            self.wake()

    def wake(self) -> None:
        """Lets everybody look again."""
        self.ticked = monotonic()
        self.grown.set()
        self.grown = asyncio.Event()

    @property
    def since(self) -> int:
        """The position after which everything is remembered."""
        return self.batches[0].since if self.batches else self.until

    def next(self, position: int) -> Batch | None:
        """The batch that goes on after a position at or beyond `since`; None at the end."""
        found = None
        for batch in reversed(self.batches):
            if batch.until <= position:
                break
            found = batch
        return found
