"""Copies the event log to the feed: every event once, in order, for as long as it runs."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from adapters.failpoints import failpoint
from adapters.metrics import RELAY_LAG, RELAY_POSITION
from adapters.nats.cloudevents import message
from adapters.nats.connection import Connection
from adapters.nats.following import IDLE_SECONDS, Follower, Moved, Place
from adapters.nats.source import Log, StoredEvent
from adapters.nats.stream import Stream, Tail
from adapters.nats.windows import pieces

log = structlog.get_logger()

LAG_SECONDS = 1.0


class Relay(Follower):
    """Follows the log and keeps no position of its own: the stream's last message says where to go on.

    Any number may run at once: each message is taken only behind the one that its relay believes to be the last,
    so one wins and the others read the end of the stream again. `window` is how many events are read at once,
    `ack_seconds` how long an acknowledgement may take.
    """

    NAME = "relay"

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
        super().__init__(log, nats_url, ack_seconds)
        self._name = stream
        self._window = window
        self._replicas = replicas

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [*super()._tasks(), asyncio.create_task(self._watch_lag())]

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

    def _well(self, place: Place) -> None:
        super()._well(place)
        RELAY_POSITION.set(place.position)

    async def _watch_lag(self) -> None:
        while True:
            with suppress(Exception):
                RELAY_LAG.set(max(0, await self._log.head() - self.position))
            await asyncio.sleep(LAG_SECONDS)
