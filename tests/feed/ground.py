"""What the tests of the feed stand on: a nats-server of their own, a log in memory, and the eyes of a subscriber."""

import asyncio
import hashlib
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from adapters.nats.following import Follower
from tests.conftest import reserved_port

F = TypeVar("F", bound=Follower)
LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Event:
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
    envelope: dict[str, Any]
    envelope_bytes: bytes
    payload: bytes
    previous_hash: bytes
    hash: bytes


def event(position: int = 1, commit_position: int | None = None, **given: Any) -> Event:
    """An event with everything that a test does not say filled in."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    envelope = given.get("envelope", {"actor": {"id": str(uuid4())}, "cause": {"correlation_id": f"c-{position}"}})
    facts: dict[str, Any] = {
        "event_id": uuid4(),
        "stream_id": f"deployment-{uuid4()}",
        "version": 1,
        "topic": "deployment.scheduled",
        "schema_version": 1,
        "organisation": "acme",
        "sequence": position,
        "occurred_at": moment,
        "recorded_at": moment,
        "envelope": envelope,
        "envelope_bytes": orjson.dumps(envelope),
        "payload": b'{"n":%d}' % position,
        "previous_hash": bytes(32),
        "hash": hashlib.sha256(str(position).encode()).digest(),
    }
    return Event(position=position, commit_position=commit_position or position, **{**facts, **given})


@dataclass
class MemoryLog:
    """Appends commits and hands them out whole; its calls fail while `broken`."""

    store: str = field(default_factory=lambda: str(uuid4()))
    epoch: int = 1
    events: list[Event] = field(default_factory=list)
    broken: bool = False
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def commit(self, *commits: int, **given: Any) -> None:
        """Appends a commit of so many events for each number."""
        for size in commits:
            last = len(self.events) + size
            self.events += [event(n, last, **given) for n in range(len(self.events) + 1, last + 1)]
        self._more.set()

    async def read_after(self, position: int, limit: int) -> Sequence[Event]:
        self._check()
        end = position + limit
        while position < end < len(self.events) and self.events[end - 1].commit_position != end:
            end += 1
        return self.events[position:end]

    async def head(self) -> int:
        self._check()
        return len(self.events)

    async def identity(self) -> tuple[str, int]:
        self._check()
        return self.store, self.epoch

    async def wait_beyond(self, position: int, timeout: float, read: int) -> None:
        self._check()
        self._more.clear()
        if len(self.events) <= position:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), timeout)

    def _check(self) -> None:
        if self.broken:
            raise ConnectionError("the log is away")


class Server:
    """A nats-server process on a port that stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = reserved_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        binary = Path(sysconfig.get_path("scripts")) / "nats-server"
        arguments = ["-js", "-sd", str(self.folder), "-a", "127.0.0.1", "-p", str(self.port)]
        self._process = await asyncio.create_subprocess_exec(str(binary), *arguments, stderr=subprocess.DEVNULL)
        await eventually(self._answers)

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    def pause(self, paused: bool) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def wipe(self) -> None:
        shutil.rmtree(self.folder)

    async def _answers(self) -> bool:
        with suppress(Exception):
            async with client(self.url) as connected:
                await connected.jetstream().account_info()
                return True
        return False


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until it holds; fails after LIMIT seconds."""
    async with asyncio.timeout(LIMIT):
        while not await holds():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    async def ignore(_: Exception) -> None:
        pass

    connected = await nats.connect(
        url, allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0, error_cb=ignore
    )
    try:
        yield connected
    finally:
        await connected.close()


async def feed(url: str, count: int, stream: str = "ROLLBOOK") -> list[Msg]:
    """The first `count` messages of the feed as a subscriber sees them, and a proof that there are no more."""
    async with client(url) as connected:
        js = connected.jetstream()
        config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL)
        subscription = await js.subscribe("rollbook.>", stream=stream, config=config)
        messages = [await subscription.next_msg(timeout=LIMIT) for _ in range(count)]
        assert (await js.stream_info(stream)).state.messages == count
        return messages


@asynccontextmanager
async def running(relay: F) -> AsyncIterator[F]:
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    try:
        yield relay
    finally:
        stop.set()
        await asyncio.wait_for(task, LIMIT)


async def caught_up(relay: Follower, log: MemoryLog) -> None:
    async def done() -> bool:
        return relay.position == len(log.events) and relay.problem is None

    await eventually(done)


async def until_problem(relay: Follower, words: str) -> None:
    async def told() -> bool:
        return words in (relay.problem or "")

    await eventually(told)


def ids(messages: Sequence[Msg]) -> list[str]:
    return [(message.headers or {})["ce-id"] for message in messages]


def logged(log: MemoryLog) -> list[str]:
    return [str(event.event_id) for event in log.events]
