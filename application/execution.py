"""Runs a command: load what it needs, let the domain decide, append, and decide again when something moved."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import uniform
from typing import Any, TypeVar
from uuid import UUID

import anyio
from eventsourcing.domain import BaseAggregate

from application.ports.event_store import (
    Appended,
    Circumstances,
    CommandKey,
    Commit,
    Conflict,
    DomainEvent,
    EventStore,
    Taken,
)
from domain.errors import Clash, RollbookError, StorageFull, Unavailable

A = TypeVar("A", bound=BaseAggregate[UUID])
ATTEMPTS = 50
CACHED_AGGREGATES = 20_000
ABSENT = object()


def stream_of(kind: type[BaseAggregate[UUID]], aggregate_id: UUID) -> str:
    """The name of an aggregate's stream."""
    return f"{kind.TOPIC}-{aggregate_id}"  # type: ignore[attr-defined]


class AggregateCache:
    """Aggregates as this process last knew them; the versions that an append expects make a stale one harmless."""

    def __init__(self, size: int = CACHED_AGGREGATES) -> None:
        self.size = size
        self.known: OrderedDict[tuple[str, str], Any] = OrderedDict()

    def get(self, organisation: str, stream_id: str) -> Any | None:
        """The aggregate, or None when it must be read."""
        found = self.known.get((organisation, stream_id))
        if found is None or found is ABSENT:
            return None
        self.known.move_to_end((organisation, stream_id))
        return found

    def is_absent(self, organisation: str, stream_id: str) -> bool:
        """Whether the stream was empty when it was last watched; the guard of the append makes sure."""
        return self.known.get((organisation, stream_id)) is ABSENT

    def put(self, organisation: str, stream_id: str, aggregate: Any) -> None:
        """Remembers an aggregate, and forgets the one that nobody asked for longest."""
        self.known[organisation, stream_id] = aggregate
        if len(self.known) > self.size:
            self.known.popitem(last=False)

    def drop(self, organisation: str, stream_id: str) -> None:
        """Forgets an aggregate that may not be what stands in the log."""
        self.known.pop((organisation, stream_id), None)


@dataclass(slots=True)
class Work:
    """One attempt at a command: what it read, what it changed. Load everything first, then decide without awaiting."""

    organisation: str
    circumstances: Circumstances
    now: datetime
    store: EventStore
    cache: AggregateCache
    touched: dict[str, Any] = field(default_factory=dict)
    guards: dict[str, int] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    refusal: str = "The name is taken"
    released: set[str] = field(default_factory=set)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    from_cache: bool = False

    @property
    def actor(self) -> str:
        """The pseudonym of who asks."""
        return str(self.circumstances.actor.id)

    async def load(self, kind: type[A], aggregate_id: UUID) -> A | None:
        """The aggregate, or None when its stream is empty."""
        return (await self.load_all(kind, [aggregate_id])).get(aggregate_id)

    async def load_all(self, kind: type[A], ids: list[UUID]) -> dict[UUID, A]:
        """The aggregates that exist, by id; what is not at hand is read in one query."""
        streams = {stream_of(kind, one): one for one in ids}
        missing = [s for s in streams if s not in self.touched and self.take_cached(s) is None]
        if missing:
            for stream_id, aggregate in (await self.store.load(self.organisation, missing)).items():
                self.keep(stream_id, self.cache.get(self.organisation, stream_id) or aggregate)
        return {one: self.touched[s] for s, one in streams.items() if s in self.touched}

    async def watch(self, kind: type[A], aggregate_id: UUID) -> A | None:
        """Like load, for what is read and not written: the append fails when its stream has moved."""
        stream_id = stream_of(kind, aggregate_id)
        if self.cache.is_absent(self.organisation, stream_id):
            self.from_cache = True
            aggregate = None
        else:
            aggregate = await self.load(kind, aggregate_id)
        if aggregate is None:
            self.cache.put(self.organisation, stream_id, ABSENT)
        self.guards[stream_id] = aggregate.version if aggregate else 0
        return aggregate

    def rest_on_all(self) -> None:
        """The append fails when anything has moved that was read up to here, though nothing be decided about it."""
        self.guards |= {stream_id: aggregate.version for stream_id, aggregate in self.touched.items()}

    def add(self, aggregate: BaseAggregate[UUID]) -> None:
        """Takes a new aggregate into the commit."""
        self.keep(stream_of(type(aggregate), aggregate.id), aggregate)

    def take(self, key: str, aggregate: BaseAggregate[UUID], refusal: str) -> None:
        """Lets an aggregate alone hold a key, from this commit until one that releases it; a Clash says `refusal`."""
        self.taken[key], self.refusal = stream_of(type(aggregate), aggregate.id), refusal

    def release(self, key: str) -> None:
        """Gives a key back; whoever holds it."""
        self.released.add(key)

    def explain(self, aggregate: BaseAggregate[UUID], rule: str, **inputs: Any) -> None:
        """Records the rule behind an aggregate's new events, and on what it decided; the first explanation stands."""
        explained = {"rule": rule, "inputs": {**inputs, "read": dict(self.guards)}}
        self.decisions.setdefault(stream_of(type(aggregate), aggregate.id), explained)

    def keep(self, stream_id: str, aggregate: Any) -> None:
        """Remembers an aggregate for this attempt and the next commands."""
        self.touched[stream_id] = aggregate
        self.cache.put(self.organisation, stream_id, aggregate)

    def take_cached(self, stream_id: str) -> Any | None:
        """The cached aggregate, noted as one that may be stale."""
        if found := self.cache.get(self.organisation, stream_id):
            self.touched[stream_id] = found
            self.from_cache = True
        return found

    def versions(self) -> dict[str, int]:
        """At which versions everything was that this attempt has read."""
        return self.guards | {stream_id: aggregate.version for stream_id, aggregate in self.touched.items()}

    def abandon(self) -> None:
        """Forgets whatever this attempt may have changed without recording it."""
        for stream_id in (*self.touched, *self.guards):
            self.cache.drop(self.organisation, stream_id)

    def commit(self, key: CommandKey | None, resource: str) -> Commit:
        """The new events of everything that was touched."""
        streams: dict[str, Sequence[DomainEvent]] = {
            s: list(a.collect_events()) for s, a in self.touched.items() if a.pending_events
        }
        guards = {s: v for s, v in self.guards.items() if s not in streams}
        return Commit(
            self.organisation,
            self.circumstances,
            streams,
            guards,
            self.taken,
            self.released,
            self.decisions,
            key,
            resource,
        )


Handler = Callable[[Work, Any], Awaitable[str]]


@dataclass(slots=True)
class Executor:
    """Executes commands against the log. A handler answers with the id of what it made or changed."""

    store: EventStore
    clock: Callable[[], datetime]
    cache: AggregateCache = field(default_factory=AggregateCache)

    async def execute(
        self,
        organisation: str,
        circumstances: Circumstances,
        handler: Handler,
        command: Any,
        key: CommandKey | None = None,
    ) -> Appended:
        """Returns when the command is recorded. Clashes with other writers are decided again on fresh state."""
        if key and (before := await self.store.outcome(organisation, key)):
            return before
        for attempt in range(ATTEMPTS):
            work = Work(organisation, circumstances, self.clock(), self.store, self.cache)
            try:
                return await self.attempt(work, handler, command, key)
            except Taken:
                raise Clash(work.refusal) from None
            except Conflict:
                await anyio.sleep(uniform(0, min(0.001 * 2**attempt, 0.05)))
            except StaleDecision:
                continue
        raise Unavailable("Too many writers at once; nothing was recorded")

    async def look(self, organisation: str, kind: type[A], aggregate_id: UUID) -> A | None:
        """The aggregate as it was just now, for reading only; None when there is none."""
        stream_id = stream_of(kind, aggregate_id)
        known: A | None = self.cache.get(organisation, stream_id)
        if known is not None:
            return known
        return (await self.store.load(organisation, [stream_id])).get(stream_id)

    async def attempt(self, work: Work, handler: Handler, command: Any, key: CommandKey | None) -> Appended:
        """One try. What no append will check is not final while it rests on remembered state that has moved."""
        try:
            resource = await handler(work, command)
            commit = work.commit(key, resource)
            if commit.streams:
                return await self.store.append(commit)
            if work.from_cache and await self.store.moved(work.organisation, work.versions()):
                raise StaleDecision
            return Appended(0, work.now, resource)
        except RollbookError as refusal:
            work.abandon()
            if work.from_cache and not isinstance(refusal, StorageFull | Unavailable):
                raise StaleDecision from refusal
            raise
        except BaseException:
            work.abandon()
            raise


class StaleDecision(Exception):
    """A refusal, or the decision to do nothing, that rests on remembered state."""
