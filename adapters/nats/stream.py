"""The JetStream stream of the feed: its settings, its end, and emptying it."""

from dataclasses import dataclass
from typing import Any

import structlog
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from adapters.nats.subjects import EVERYTHING

log = structlog.get_logger()

# What makes the stream keep everything. The chain of expected sequences is what keeps doubles out; a long duplicate
# window would add nothing but a delay to rebuilding, as a purged stream goes on refusing the ids that it had.
KEEPS: dict[str, Any] = {
    "storage": StorageType.FILE,
    "retention": RetentionPolicy.LIMITS,
    "discard": DiscardPolicy.NEW,
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msgs_per_subject": -1,
    "max_msg_size": -1,
    "duplicate_window": 1,
    "deny_delete": True,
    "deny_purge": False,
    "allow_direct": True,
}


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of the stream: its last sequence and the event there. `position` is 0 in an empty stream, and -1 when
    the message is none of ours. `first` is the position that the stream begins with."""

    sequence: int
    messages: int = 0
    first: int = 0
    position: int = 0
    event_id: str = ""
    store: str = ""
    epoch: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing between the stream's first event and its last."""
        return self.first > 0 and self.position - self.first == self.messages - 1


class Stream:
    """One stream by its name. `replicas` is used when it is created; an operator may change it later."""

    def __init__(self, jetstream: JetStreamContext, name: str, replicas: int, subject: str = EVERYTHING) -> None:
        self._jetstream = jetstream
        self._name = name
        self._replicas = replicas
        self._keeps = {"subjects": [subject], **KEEPS}

    async def prepare(self) -> None:
        """Creates the stream, or mends those of its settings on which completeness depends."""
        try:
            config = (await self._jetstream.stream_info(self._name)).config
        except NotFoundError:
            new = StreamConfig(name=self._name, num_replicas=self._replicas).evolve(**self._keeps)
            await self._jetstream.add_stream(new)
            log.info("feed.created", stream=self._name)
            return
        changed = [name for name, value in self._keeps.items() if getattr(config, name) != value]
        if changed:
            await self._jetstream.update_stream(config.evolve(**self._keeps))
            log.warning("feed.mended", stream=self._name, settings=changed)

    async def last_sequence(self) -> int:
        """The sequence of the last message that was ever there."""
        return (await self._jetstream.stream_info(self._name)).state.last_seq

    async def tail(self) -> Tail:
        """Reads the end of the stream."""
        state = (await self._jetstream.stream_info(self._name)).state
        if state.messages == 0:
            return Tail(state.last_seq)
        last = await self._headers(state.last_seq)
        return Tail(
            sequence=state.last_seq,
            messages=state.messages,
            first=_position(await self._headers(state.first_seq)),
            position=_position(last),
            event_id=last.get("ce-id", ""),
            store=last.get("rollbook-store", ""),
            epoch=last.get("rollbook-epoch", ""),
        )

    async def empty(self, through: int) -> None:
        """Removes all messages up to that sequence, and none that another relay has written behind it. Sequences go on,
        so that consumers keep their place and are given the new messages."""
        await self._jetstream.purge_stream(self._name, seq=through + 1)

    async def _headers(self, sequence: int) -> dict[str, str]:
        try:
            found = (await self._jetstream.get_msg(self._name, seq=sequence)).headers or {}
        except NotFoundError:
            return {}
        return {name: str(value) for name, value in found.items()}


def _position(headers: dict[str, str]) -> int:
    value = headers.get("rollbook-position", "")
    return int(value) if value.isascii() and value.isdigit() else -1
