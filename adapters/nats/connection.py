"""A connection to NATS that publishes a chain of messages and notices at once when it is lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoServersError
from nats.js import JetStreamContext

from adapters.nats.cloudevents import Message
from adapters.tracing import linked_span

log = structlog.get_logger()

EXPECTED = "Nats-Expected-Last-Sequence"
CONNECT_SECONDS = 2
CLOSE_SECONDS = 2.0
PING_SECONDS = 5
_WRONG_LAST_SEQUENCE = 10071
_VERSION = b"NATS/1.0\r\n"


class Refused(Exception):
    """JetStream did not take a message; those after it in its window were not taken either."""


class Overtaken(Refused):
    """Somebody else has written to the stream since we read its end."""


class Lost(Exception):
    """The connection ended before everything was acknowledged."""


@asynccontextmanager
async def connection(url: str, ack_seconds: float) -> AsyncIterator["Connection"]:
    """Connects to one of the servers in `url` (separated by commas) and closes again; it never reconnects by itself,
    because after a loss the end of the stream has to be read again."""
    opened = Connection(ack_seconds)
    try:
        await opened.open(url)
        yield opened
    finally:
        await opened.close()


class HeadClient(Client):
    """Takes headers as they go over the wire: to have nats-py write them would cost the relay half its time."""

    def write(self, subject: str, reply: str, head: bytes, payload: bytes) -> None:
        """Adds a message to what goes out with the next `send`. `head` holds whole header lines."""
        sizes = f"{len(_VERSION) + len(head) + 2} {len(_VERSION) + len(head) + 2 + len(payload)}"
        command = f"HPUB {subject} {reply} {sizes}\r\n".encode()
        self._pending.append(b"".join((command, _VERSION, head, b"\r\n", payload, b"\r\n")))
        self._pending_data_size += len(payload)

    async def send(self) -> None:
        """Hands over what was written; Lost when nobody is there to take it."""
        if not self.is_connected:
            raise Lost("the connection to NATS was lost")
        await self._flush_pending()


def expecting(head: bytes, last: int) -> bytes:
    """The headers of a message that the stream takes only right behind this sequence."""
    return head + f"{EXPECTED}: {last}\r\n".encode()


class Connection:
    """`ack_seconds` limits how long a window or a request may stay without its answer."""

    def __init__(self, ack_seconds: float) -> None:
        self._client = HeadClient()
        self._ack_seconds = ack_seconds
        self._numbers = count()
        self._inbox = ""
        self._fault = ""
        self._awaited: dict[str, asyncio.Future[Msg | None]] = {}

    async def open(self, url: str) -> None:
        """Connects to whichever server answers first; Lost when none does."""
        try:
            await self._connect(url)
        except NoServersError:
            raise Lost(f"no NATS server answers: {self._fault}") from None
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)

    async def _connect(self, url: str) -> None:
        await self._client.connect(
            servers=url.split(","),
            name="rollbook-relay",
            allow_reconnect=False,
            # Even so the client would try the first server for ever, 2 s apart; this is its way to say once.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=CONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            # Nothing is flushed by force, since that waits without a limit for a server that hangs.
            pending_size=0,
            error_cb=self._on_error,
            closed_cb=self._on_closed,
        )

    async def close(self) -> None:
        """Closes within CLOSE_SECONDS."""
        with suppress(TimeoutError, OSError):
            await asyncio.wait_for(self._client.close(), CLOSE_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether the server is there, as far as we know."""
        return self._client.is_connected

    def jetstream(self) -> JetStreamContext:
        """The stream API over this connection."""
        return self._client.jetstream(timeout=self._ack_seconds)

    async def publish(self, messages: Sequence[Message], after: int) -> int:
        """Publishes all in one go, the first to follow the stream's sequence `after`; returns the sequence of the last.

        Each is taken only right behind the one before it, so the last one's acknowledgement vouches for all.
        The first one's is awaited too, because a later one only tells that something before it went wrong.
        Raises Refused, Lost or TimeoutError; then some of the first messages may have been taken.
        """
        self._check_sizes(messages)
        causes = (message.headers.get("traceparent") for message in messages)
        with linked_span("relay publish", causes, **{"rollbook.position": messages[-1].position}):
            return await self._publish_all(messages, after)

    async def _publish_all(self, messages: Sequence[Message], after: int) -> int:
        answers: dict[int, asyncio.Future[Msg | None]] = {}
        try:
            for sequence, message in enumerate(messages, after + 1):
                reply = self._reply(sequence, answers) if sequence in (after + 1, after + len(messages)) else ""
                self._client.write(message.subject, reply, expecting(message.head, sequence - 1), message.payload)
            await self._client.send()
            async with asyncio.timeout(self._ack_seconds):
                for sequence, answer in answers.items():
                    _check(await answer, sequence)
        finally:
            self._awaited.clear()
        return after + len(messages)

    def _check_sizes(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.size > self._client.max_payload:
                allowed = self._client.max_payload
                raise Refused(f"the event at {message.position} needs a max_payload of {message.size}, not {allowed}")

    def _reply(self, sequence: int, answers: dict[int, asyncio.Future[Msg | None]]) -> str:
        subject = f"{self._inbox}.{next(self._numbers)}"
        answers[sequence] = self._awaited[subject] = asyncio.get_running_loop().create_future()
        return subject

    async def _on_ack(self, answer: Msg) -> None:
        awaited = self._awaited.pop(answer.subject, None)
        if awaited and not awaited.done():
            awaited.set_result(answer)

    async def _on_closed(self) -> None:
        for awaited in self._awaited.values():
            if not awaited.done():
                awaited.set_result(None)

    async def _on_error(self, error: Exception) -> None:
        self._fault = type(error).__name__
        log.debug("nats.error", error=self._fault)


def _check(answer: Msg | None, sequence: int) -> None:
    """Raises unless JetStream took the message just now, as this sequence."""
    if answer is None:
        raise Lost("the connection to NATS was lost")
    if not answer.data:
        raise Refused("the stream is gone")
    said = json.loads(answer.data)
    if error := said.get("error"):
        kind = Overtaken if error.get("err_code") == _WRONG_LAST_SEQUENCE else Refused
        raise kind(error.get("description", "refused"))
    # A purged stream still remembers, for its duplicate window, the ids of what it no longer has.
    if said.get("seq") != sequence:
        raise Refused(f"the stream took it for a repeat of {said.get('seq')}")
