"""What copies the log to NATS has in common: it connects, follows, and after whatever went wrong begins again."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from time import monotonic

import nats.errors
import nats.js.errors
import structlog

from adapters.nats.connection import Connection, Lost, Overtaken, Refused, connection
from adapters.nats.source import Log
from adapters.nats.stream import Stream

log = structlog.get_logger()

IDLE_SECONDS = 1.0
STUCK_SECONDS = 4.0
STOP_SECONDS = 5.0
SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 1.0


class Moved(Exception):
    """The log is no longer the one that was followed."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far the stream has come: its last sequence, the log's position there, and which log it is."""

    sequence: int
    position: int
    store: str
    epoch: int


class Follower(ABC):
    """Follows the log over one connection at a time. `connected` tells whether NATS answers, `problem` why it stands
    still (None when it does not), `position` how far it has come."""

    NAME = "follower"

    def __init__(self, log: Log, nats_url: str, ack_seconds: float) -> None:
        self._log = log
        self._url = nats_url
        self._ack_seconds = ack_seconds
        self._connection: Connection | None = None
        self._pause = SHORTEST_PAUSE
        self.position = 0
        self.problem: str | None = "not connected yet"
        self._refused_since: float | None = None

    @abstractmethod
    async def _follow(self, opened: Connection) -> None:
        """Finds its place and goes on from there, for as long as the connection is good."""

    @property
    def connected(self) -> bool:
        """Whether NATS answers."""
        return self._connection is not None and self._connection.alive

    def is_stuck(self) -> bool:
        """Whether NATS is there and for some time has taken nothing."""
        return self._refused_since is not None and monotonic() - self._refused_since > STUCK_SECONDS

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop` is set, whatever fails meanwhile; then closes its connection, within STOP_SECONDS."""
        tasks = self._tasks()
        try:
            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._supervise())]

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

    def _trouble(self, error: Exception) -> None:
        """Says what is wrong, once; the log would otherwise repeat it with every try."""
        problem = _describe(error)
        if problem != self.problem:
            log.warning(f"{self.NAME}.stands_still", problem=problem, position=self.position)
        self.problem = problem
        refused = isinstance(error, TimeoutError | Refused | nats.js.errors.Error)
        self._refused_since = (self._refused_since or monotonic()) if refused else None

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)


def _describe(error: Exception) -> str:
    """The error in words; of errors that are not about NATS only the kind, as they might quote an address."""
    kind = type(error).__name__
    safe = isinstance(error, Refused | Lost | Moved | nats.errors.Error)
    return f"{kind}: {error}" if safe and str(error) else kind
