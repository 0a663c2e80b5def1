"""Publishes what the feed says on a NATS subject, as the relay publishes on its own: CloudEvents in binary mode."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import nats
import nats.errors
import nats.js.errors

from adapters.nats.cloudevents import message
from entrypoints.cli.failures import Exit, Failure, misuse

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from rollbook_subscriber.reading import Block

    from entrypoints.cli.events import Reading

SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
# The roots of what Rollbook writes itself: the feed, jobs and checkpoints, and the twins.
OURS = ("rollbook", "cdevents")
AT_ONCE = 256
EVERY = 10_000
ACK_SECONDS = 10.0
PAYLOAD, BEHIND_PAYLOAD = ',"payload":', ',"previous_hash":"'


def check_subject(subject: str) -> None:
    """Refuses what is no plain subject, and the subjects of the feed itself and of its twins."""
    if len(subject) > 200 or not SUBJECT.fullmatch(subject):
        raise misuse("--to-subject must be words with dots between them, such as team.rebuild")
    if subject.lower().startswith(OURS):
        raise misuse(f"Subjects that begin with {' or '.join(OURS)} are the feed's own: choose another")


@dataclass(frozen=True, slots=True)
class Copied:
    """An event as the feed told it, for writing it as a message; its envelope stays behind."""

    position: int
    commit_position: int
    event_id: UUID
    stream_id: str
    version: int
    topic: str
    schema_version: int
    organisation: str
    sequence: int
    occurred_at: datetime
    recorded_at: datetime
    payload: bytes
    previous_hash: bytes
    hash: bytes
    envelope: Mapping[str, Any] = field(default_factory=dict)
    envelope_bytes: bytes = b""


PLAIN = ("position", "commit_position", "version", "topic", "schema_version", "organisation", "sequence")


def copied(facts: Mapping[str, Any], data: str) -> Copied:
    """The event, its payload with the bytes that were hashed."""
    return Copied(
        **{name: facts[name] for name in PLAIN},
        event_id=UUID(facts["event_id"]),
        stream_id=facts["stream"],
        occurred_at=datetime.fromisoformat(facts["occurred_at"]),
        recorded_at=datetime.fromisoformat(facts["recorded_at"]),
        payload=data[data.index(PAYLOAD) + len(PAYLOAD) : data.rindex(BEHIND_PAYLOAD)].encode(),
        previous_hash=bytes.fromhex(facts["previous_hash"]),
        hash=bytes.fromhex(facts["hash"]),
    )


class Republishing:
    """Publishes in windows, each acknowledged as a whole. `place` is how far that has come."""

    def __init__(self, reading: "Reading", subject: str, place: str, progress: Callable[[int, str], None]) -> None:
        self.reading = reading
        self.progress = progress
        self.subject = subject
        self.place = place
        self.published = 0
        self.repeated = 0

    def run(self, nats_url: str) -> None:
        """Publishes all; a Failure when NATS does not take it."""
        try:
            asyncio.run(self.publish_all(nats_url))
        except nats.js.errors.NoStreamResponseError:
            raise Failure(f"No stream of NATS takes {self.subject}: make one", Exit.REFUSED, "NO_STREAM") from None
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as problem:
            text = f"NATS did not take it: {type(problem).__name__}"
            raise Failure(text, Exit.UNAVAILABLE, "UNREACHABLE") from None

    async def publish_all(self, nats_url: str) -> None:
        """What the feed says, window by window."""
        async with connected(nats_url) as stream:
            window: list[Block] = []
            for block in self.reading.blocks():
                window.append(block)
                if len(window) >= AT_ONCE:
                    await self.publish(stream, window)
                    window = []
            await self.publish(stream, window)

    async def publish(self, stream: "JetStreamContext", window: "list[Block]") -> None:
        """One window."""
        waiting = [await self.send(stream, block) for block in window if block.event is not None]
        async with asyncio.timeout(ACK_SECONDS):
            acknowledged = await asyncio.gather(*waiting)
        if (self.published + len(acknowledged)) // EVERY > self.published // EVERY:
            self.progress(self.published + len(acknowledged), self.place)
        self.published += len(acknowledged)
        self.repeated += sum(bool(one.duplicate) for one in acknowledged)
        self.place = next((block.place for block in reversed(window) if block.place), self.place)

    async def send(self, stream: "JetStreamContext", block: "Block") -> Any:
        """One event; what it gives is to be waited for."""
        assert block.event is not None and block.data is not None
        event = copied(block.event.facts, block.data)
        made = message(event, self.reading.store, int(block.event.facts["epoch"]))
        headers = {name: value for name, value in made.headers.items() if name != "rollbook-envelope"}
        return await stream.publish_async(self.subject, made.payload, headers=headers)


@asynccontextmanager
async def connected(nats_url: str) -> "AsyncIterator[JetStreamContext]":
    """JetStream, over a connection that does not come back by itself."""
    client = await nats.connect(
        nats_url.split(","), allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=5, error_cb=silent
    )
    try:
        yield client.jetstream(timeout=ACK_SECONDS)
    finally:
        await client.close()


async def silent(_: Exception) -> None:
    """What goes wrong is said by what it goes wrong for."""
