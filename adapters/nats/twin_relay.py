"""Publishes the CDEvents twins of the log to a stream of their own, beside the feed."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from adapters.nats.cdevents import EVERY_TWIN, Knowing, twin_message, twins
from adapters.nats.cloudevents import Message
from adapters.nats.connection import Connection
from adapters.nats.following import IDLE_SECONDS, Follower, Place
from adapters.nats.source import Log, StoredEvent
from adapters.nats.stream import Stream, Tail
from adapters.nats.windows import pieces

log = structlog.get_logger()


class TwinRelay(Follower):
    """Keeps no position of its own: it goes on with what its stream's last message does not tell yet.

    The stream may be shortened by whoever runs NATS; what is gone from its beginning is not told again.
    """

    NAME = "twins"

    def __init__(
        self,
        log: Log,
        knowing: Knowing,
        nats_url: str,
        stream: str = "CDEVENTS",
        window: int = 256,
        *,
        replicas: int = 1,
        ack_seconds: float = 5.0,
    ) -> None:
        super().__init__(log, nats_url, ack_seconds)
        self._knowing = knowing
        self._name = stream
        self._window = window
        self._replicas = replicas

    async def _follow(self, opened: Connection) -> None:
        stream = Stream(opened.jetstream(), self._name, self._replicas, EVERY_TWIN)
        place, told = await self._resume(stream)
        while opened.alive:
            events = await self._log.read_after(place.position, self._window)
            await self._confirm_log(place)
            if events:
                messages = beyond(told, await self._messages(events, place))
                place, told = await self._publish(opened, place, messages, events[-1].position), ""
            else:
                await self._confirm(stream, place)
            self._well(place)
            if len(events) < self._window:
                await self._log.wait_beyond(place.position, IDLE_SECONDS, len(events))

    async def _resume(self, stream: Stream) -> tuple[Place, str]:
        """The place, and the id of the last twin that is there: its event may have another."""
        store, epoch = await self._log.identity()
        await stream.prepare()
        tail = await stream.tail()
        place = Place(tail.sequence, max(tail.position - 1, 0), store, epoch)
        if not await self._continues(tail, place):
            log.warning("twins.rebuilds", stream=self._name, position=tail.position)
            await stream.empty(tail.sequence)
            return replace(place, position=0), ""
        return place, tail.event_id

    async def _continues(self, tail: Tail, place: Place) -> bool:
        """Whether the stream's last message is a twin of what this very log holds there."""
        if tail.position == 0:
            return True
        if tail.position < 0 or (tail.store, tail.epoch) != (place.store, str(place.epoch)):
            return False
        same = await self._log.read_after(place.position, 1)
        return any(one.headers["ce-id"] == tail.event_id for one in await self._messages(same, place))

    async def _messages(self, events: Sequence[StoredEvent], place: Place) -> list[Message]:
        found: list[Message] = []
        for event in events:
            if known := await self._knowing.known(event):
                found += [twin_message(event, twin, place.store, place.epoch) for twin in twins(event, known)]
        return found

    async def _publish(self, opened: Connection, place: Place, messages: Sequence[Message], position: int) -> Place:
        for piece in pieces(messages):
            place = replace(place, sequence=await opened.publish(piece, place.sequence))
        return replace(place, position=position)


def beyond(told: str, messages: list[Message]) -> list[Message]:
    """What follows the message with this id; everything where there is none."""
    places = [place for place, one in enumerate(messages) if one.headers["ce-id"] == told]
    return messages[places[0] + 1 :] if places else messages
