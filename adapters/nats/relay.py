"""Copies the event log to the feed: every event once, in order, for as long as it runs."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

import nats.errors
import nats.js.errors
import structlog

from adapters.failpoints import failpoint
from adapters.metrics import RELAY_LAG, RELAY_POSITION
from adapters.nats.cloudevents import message
from adapters.nats.connection import Connection, Lost, Overtaken, Refused, connection
from adapters.nats.source import Log, StoredEvent
from adapters.nats.stream import Stream, Tail
from adapters.nats.windows import pieces

log = structlog.get_logger()

IDLE_SECONDS = 1.0
LAG_SECONDS = 1.0
STUCK_SECONDS = 4.0
STOP_SECONDS = 5.0
SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 1.0


class Moved(Exception):
    """The log is no longer the one that was followed."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far the feed has come: the stream's last sequence, the log's position there, and which log it is."""

    sequence: int
    position: int
    store: str
    epoch: int


class Relay:
    """Follows the log and keeps no position of its own: the stream's last message says where to go on.

    Any number may run at once: each message is taken only behind the one that its relay believes to be the last,
    so one wins and the others read the end of the stream again. `connected` tells whether NATS answers, `problem` why
    the feed stands still (None when it does not), `position` how far it has come. `window` is how many events
    are read at once, `ack_seconds` how long an acknowledgement may take.
    """

    def __init__(
        self,
        log: Log,
        nats_url: str,
        stream: str = "ROLLBOOK",
        window: int = 256,
        *,
        replicas: int = 1,
        ack_seconds: float = 5.0,
    ) -> None:
        self._log = log
        self._url = nats_url
        self._name = stream
        self._window = window
        self._replicas = replicas
        self._ack_seconds = ack_seconds
        self._connection: Connection | None = None
        self._pause = SHORTEST_PAUSE
        self.position = 0
        self.problem: str | None = "not connected yet"
        self._refused_since: float | None = None

    @property
    def connected(self) -> bool:
        """Whether NATS answers."""
        return self._connection is not None and self._connection.alive

    def is_stuck(self) -> bool:
        """Whether NATS is there and for some time has taken nothing."""
        return self._refused_since is not None and monotonic() - self._refused_since > STUCK_SECONDS

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop` is set, whatever fails meanwhile; then closes its connection, within STOP_SECONDS."""
        tasks = [asyncio.create_task(self._supervise()), asyncio.create_task(self._watch_lag())]
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    async def _supervise(self) -> None:
        while True:
            try:
                async with connection(self._url, self._ack_seconds) as opened:
                    self._connection = opened
                    await self._serve(opened)
            except Exception as error:
                self._trouble(error)
            finally:
                self._connection = None
            await self._rest()

    async def _serve(self, opened: Connection) -> None:
        """Follows over this connection and starts again after an error, until the connection is no good."""
        while opened.alive:
            try:
                await self._follow(opened)
            except (Lost, TimeoutError):
                raise
            except Exception as error:
                self._trouble(error)
                await self._rest()
        raise Lost("the connection to NATS was lost")

    async def _follow(self, opened: Connection) -> None:
        stream = Stream(opened.jetstream(), self._name, self._replicas)
        place = await self._resume(stream)
        while opened.alive:
            events = await self._log.read_after(place.position, self._window)
            await self._confirm_log(place)
            if events:
                place = await self._publish(opened, place, events)
            else:
                await self._confirm(stream, place)
            self._well(place)
            if len(events) < self._window:
                await self._log.wait_beyond(place.position, IDLE_SECONDS, len(events))

    async def _resume(self, stream: Stream) -> Place:
        store, epoch = await self._log.identity()
        await stream.prepare()
        tail = await stream.tail()
        if not await self._continues(tail, store, epoch):
            log.warning("relay.rebuilds", stream=self._name, position=tail.position, store=tail.store, epoch=tail.epoch)
            await stream.empty(tail.sequence)
            tail = Tail(tail.sequence)
        log.info("relay.resumed", position=tail.position, sequence=tail.sequence)
        return Place(tail.sequence, tail.position, store, epoch)

    async def _continues(self, tail: Tail, store: str, epoch: int) -> bool:
        """Whether the stream is a complete copy of the beginning of this very log."""
        if tail.position == 0:
            return True
        if not tail.whole or (tail.store, tail.epoch) != (store, str(epoch)):
            return False
        beginning = await self._log.read_after(0, 1)
        same = await self._log.read_after(tail.position - 1, 1)
        return bool(same) and str(same[0].event_id) == tail.event_id and tail.first <= beginning[0].position

    async def _publish(self, opened: Connection, place: Place, events: Sequence[StoredEvent]) -> Place:
        if place.position and events[0].position != place.position + 1:
            raise Moved(f"the log does not go on after {place.position}")
        failpoint("before_publish")
        for piece in pieces([message(event, place.store, place.epoch) for event in events]):
            sequence = await opened.publish(piece, place.sequence)
            place = replace(place, sequence=sequence, position=piece[-1].position)
        failpoint("after_publish")
        return place

    async def _confirm_log(self, place: Place) -> None:
        """Asked after every read: what was read before the log was restored is published in its own epoch or never."""
        if await self._log.identity() != (place.store, place.epoch):
            raise Moved("the log was restored, or is another one")

    async def _confirm(self, stream: Stream, place: Place) -> None:
        """Notices, while nothing happens, that the stream or the log was exchanged behind our back."""
        if await self._log.head() < place.position:
            raise Moved(f"the log ends before {place.position}")
        if await stream.last_sequence() != place.sequence:
            raise Overtaken("the stream has another end")

    def _well(self, place: Place) -> None:
        self._pause = SHORTEST_PAUSE
        self.problem = None
        self._refused_since = None
        self.position = place.position
        RELAY_POSITION.set(place.position)

    def _trouble(self, error: Exception) -> None:
        """Says what is wrong, once; the log would otherwise repeat it with every try."""
        problem = _describe(error)
        if problem != self.problem:
            log.warning("relay.stands_still", problem=problem, position=self.position)
        self.problem = problem
        refused = isinstance(error, TimeoutError | Refused | nats.js.errors.Error)
        self._refused_since = (self._refused_since or monotonic()) if refused else None

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _watch_lag(self) -> None:
        while True:
            with suppress(Exception):
                RELAY_LAG.set(max(0, await self._log.head() - self.position))
            await asyncio.sleep(LAG_SECONDS)


def _describe(error: Exception) -> str:
    """The error in words; of errors that are not about NATS only the kind, as they might quote an address."""
    kind = type(error).__name__
    safe = isinstance(error, Refused | Lost | Moved | nats.errors.Error)
    return f"{kind}: {error}" if safe and str(error) else kind
