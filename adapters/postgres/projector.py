"""Follows the log and keeps read models: batches folded in memory, one write and one checkpoint a transaction."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from time import monotonic
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection

from adapters.postgres import codec
from adapters.postgres.folding import Folding
from adapters.postgres.leadership import Leadership
from adapters.postgres.log import POLL_SECONDS, PostgresLog
from adapters.postgres.pools import Pools
from adapters.postgres.rebuild import rebuild
from adapters.tracing import linked_span
from domain.errors import RollbookError
from domain.recorded import RecordedEvent
from projections.read_model import ReadModel, table

log = structlog.get_logger()
# Between elections nobody projects what lost its leader; one costs two small questions.
ELECTION_SECONDS = 0.1
# A log longer than this is folded into a new table by a rebuild, whose indexes come last.
BUILD_BEYOND = 5000
# Up to so many events are sent without waiting for an answer to each statement; for more, COPY takes less CPU time.
FEW_EVENTS = 12


class CheckpointMoved(Exception):
    """Another leader has written: what was folded here is void."""


class Projector:
    """Keeps the read models of this release. Any number may run: each table has one leader, the others wait for it.

    `problem` tells why it stands still for good (None while it does not), `building` which new read model it makes,
    `trouble` what it tries again, with the moment (of `monotonic`) since which it does not get on.
    """

    def __init__(self, pools: Pools, events: PostgresLog, models: Sequence[ReadModel], batch: int = 1000) -> None:
        self.pools = pools
        self.log = events
        self.models = models
        self.batch = batch
        self.position = 0
        self.epoch = 0
        self.leading = False
        self.building: str | None = None
        self.problem: str | None = None
        self.trouble: tuple[str, float] | None = None
        self.next_election = 0.0
        self.on_progress: list[Callable[[int], None]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Projects until told to stop; what goes wrong is tried again after a pause, but for what is newer."""
        pause = 0.05
        while not stop.is_set():
            started = self.position
            try:
                async with self.pools.projector.connection() as connection:
                    await self.lead(connection, stop)
            except codec.UnknownEvent as newer:
                self.problem = f"newer than me: {newer}"
                log.error("projector.stopped", problem=self.problem, position=self.position)
                await stop.wait()
            except Exception as problem:
                log.warning("projector.interrupted", problem=told(problem), again_in=pause)
                self.trouble = self.trouble or (told(problem), monotonic())
                await pause_unless(stop, pause)
                pause = min(pause * 2, 1.0) if self.position == started else 0.05

    async def lead(self, connection: AsyncConnection[Any], stop: asyncio.Event) -> None:
        """Keeps the tables that it wins on this connection, and wins more as they become free."""
        # A crash may undo the last batches, and their checkpoint with them: they are folded again from the log.
        await connection.execute("set synchronous_commit = off")
        self.next_election = 0.0
        leadership = Leadership(connection, self.models)
        try:
            self.epoch = await leadership.epoch()
            # It may be another epoch than before, and rows are folded from its own events alone.
            self.log.forget()
            while not stop.is_set():
                await self.stand_for_election(leadership, stop)
                if leadership.foldings:
                    await self.advance(leadership)
                else:
                    await pause_unless(stop, ELECTION_SECONDS)
        finally:
            self.leading = False
            self.building = None
            await leadership.resign()

    async def stand_for_election(self, leadership: Leadership, stop: asyncio.Event) -> None:
        """Tries now and then for the tables that it does not lead.

        Those that must be built come first, one by one, so that nothing that others keep waits meanwhile; all others
        are taken up at once, as they wait already.
        """
        if leadership.complete or monotonic() < self.next_election:
            return
        await leadership.depose_the_silent()
        unbuilt = await self.unbuilt(leadership)
        for model in unbuilt:
            await self.build_if_won(leadership, model, stop)
        if not stop.is_set() and (won := await leadership.won([m for m in leadership.wanted if m not in unbuilt])):
            await leadership.prepare(won, self.epoch)
        self.trouble = None
        self.leading = bool(leadership.foldings)
        self.next_election = monotonic() + ELECTION_SECONDS
        if self.leading:
            self.position = min(f.position for f in leadership.foldings)
            self.progress()

    async def unbuilt(self, leadership: Leadership) -> list[ReadModel]:
        """New read models of a log that is too long to be followed from its beginning."""
        new = await leadership.new(leadership.wanted)
        return new if new and await self.log.head() > BUILD_BEYOND else []

    async def build_if_won(self, leadership: Leadership, model: ReadModel, stop: asyncio.Event) -> None:
        """Leads a new read model, unless another does; builds it, unless another has done so meanwhile."""
        if stop.is_set() or not await leadership.won([model]):
            return
        if await leadership.new([model]):
            async with leadership.building():
                await self.build(model, stop)
        await leadership.prepare([model], self.epoch)

    async def build(self, model: ReadModel, stop: asyncio.Event) -> None:
        """Makes a new read model of a long log, while others go on keeping theirs."""

        def note(position: int, head: int) -> None:
            self.building = f"{table(model)} is being built: {position} of {head}"
            if stop.is_set():
                raise CheckpointMoved("told to stop")

        note(0, await self.log.head())
        log.info("projector.builds", read_model=table(model))
        await rebuild(self.pools, self.log, model, note)
        self.building = None

    async def advance(self, leadership: Leadership) -> None:
        """One batch for those that are furthest behind, and a pause at the end of the log."""
        behind, ceiling = hindmost(leadership.foldings)
        self.position = behind[0].position
        events = await self.log.read_after(self.position, self.batch)
        if ceiling is not None:
            events = [e for e in events if e.commit_position <= ceiling]
        if known := understood(events):
            await self.project(leadership.connection, behind, known)
            self.position = min(f.position for f in leadership.foldings)
            self.progress()
        else:
            await self.confirm(leadership)
        if ceiling is None and len(events) < self.batch:
            patience = POLL_SECONDS if leadership.complete else ELECTION_SECONDS
            await self.log.wait_beyond(self.position, patience, read=len(events))

    async def project(
        self, connection: AsyncConnection[Any], foldings: list[Folding], events: list[RecordedEvent]
    ) -> None:
        """One batch in one transaction; the checkpoint is compared and swapped. Few events are sent in one go."""
        few = len(events) <= FEW_EVENTS
        last = events[-1].commit_position
        causes = (event.envelope["cause"].get("traceparent") for event in events)
        with linked_span("project", causes, **{"rollbook.position": last, "rollbook.events": len(events)}):
            async with connection.pipeline() if few else nullcontext(), connection.transaction():
                for folding in foldings:
                    await folding.write(connection, events, few)
                await swap_checkpoint(connection, [f.name for f in foldings], self.position, last, self.epoch)
        for folding in foldings:
            folding.position = last

    async def confirm(self, leadership: Leadership) -> None:
        """Notices, while nothing happens, that the log was restored; else the checkpoint notices."""
        if await leadership.epoch() != self.epoch:
            raise CheckpointMoved("the store was restored from a backup")

    def progress(self) -> None:
        """Tells whoever waits for this position."""
        for tell in self.on_progress:
            tell(self.position)


def told(problem: Exception) -> str:
    """What happened; of faults of ours only the kind, since they may quote an event."""
    expected = isinstance(problem, psycopg.OperationalError | CheckpointMoved | RollbookError)
    return str(problem)[:300] if expected else type(problem).__name__


async def pause_unless(stop: asyncio.Event, seconds: float) -> None:
    """Sleeps, but not through a stop."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def understood(events: list[RecordedEvent]) -> list[RecordedEvent]:
    """The whole commits before the first event that a newer release wrote; UnknownEvent when there are none."""
    for number, event in enumerate(events):
        try:
            codec.event_class_of(event.topic, event.schema_version)
        except codec.UnknownEvent:
            if before := [e for e in events[:number] if e.commit_position < event.position]:
                return before
            raise
    return events


def hindmost(foldings: list[Folding]) -> tuple[list[Folding], int | None]:
    """Those that are furthest behind, and the position at which the next ones wait for them."""
    lowest = min(f.position for f in foldings)
    beyond = [f.position for f in foldings if f.position > lowest]
    return [f for f in foldings if f.position == lowest], min(beyond) if beyond else None


async def swap_checkpoint(
    connection: AsyncConnection[Any], names: list[str], before: int, after: int, epoch: int
) -> None:
    """Moves the checkpoints, or raises CheckpointMoved when another leader did, or the log was restored."""
    statement = """update rollbook_views.checkpoints set position = %s
                    where read_model = any(%s) and position = %s and epoch = %s returning read_model"""
    cursor = await connection.execute(statement, [after, names, before, epoch])
    if len(await cursor.fetchall()) != len(names):
        raise CheckpointMoved(f"checkpoints are not at {before}")
