"""The log, as the application sees it: streams are read, commits are appended whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from eventsourcing.domain import CanMutateAggregate

from domain.recorded import RecordedEvent

DomainEvent = CanMutateAggregate[UUID]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a pseudonym, and the login encrypted under that person's key."""

    id: UUID
    sealed_login: str


@dataclass(frozen=True, slots=True)
class CommandKey:
    """Makes a command that comes again return its first outcome; `digest` tells whether it is the same request."""

    command_id: UUID
    digest: bytes
    status: int


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What surrounds every event of one commit. `occurred_at` is as told, or when the command was received."""

    actor: Actor
    origin: dict[str, Any]
    occurred_at: datetime
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None


@dataclass(slots=True)
class Commit:
    """Events of one command, appended together or not at all.

    `streams` holds the new events of each stream, by stream id. `guards` are streams that were read and must
    still be at that version. `taken` and `released` are keys that must be free and become so. `decisions` say
    by which rule, and on what, the new events of a stream were decided.
    """

    organisation: str
    circumstances: Circumstances
    streams: dict[str, Sequence[DomainEvent]] = field(default_factory=dict)
    guards: dict[str, int] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    key: CommandKey | None = None
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a commit came to stand; `status` and `resource` are those of the first time when it was a repeat.

    `events` are those of this commit, without their hashes and sequence; empty for a repeat.
    """

    position: int
    recorded_at: datetime
    resource: str
    status: int | None = None
    repeated: bool = False
    events: tuple[RecordedEvent, ...] = ()


class Conflict(Exception):
    """A stream or a guard has moved, or a key was taken, since the command read it: decide again."""


class Taken(Conflict):
    """A key was taken by an earlier commit: deciding again changes nothing."""


class EventStore(Protocol):
    """Streams are named `<aggregate>-<uuid>` and belong to one organisation."""

    async def load(self, organisation: str, stream_ids: Sequence[str]) -> dict[str, Any]:
        """The aggregates in these streams, each folded from its snapshot and events; absent ones are left out."""
        ...

    async def append(self, commit: Commit) -> Appended:
        """Appends, or raises Conflict or Taken; TooLarge, KeyReused, StorageFull and Unavailable are final."""
        ...

    async def moved(self, organisation: str, versions: Mapping[str, int]) -> bool:
        """Whether any of these streams is at another version than this (0 is an empty stream)."""
        ...

    async def outcome(self, organisation: str, key: CommandKey) -> Appended | None:
        """What came of a command with this key before; KeyReused when it was another request."""
        ...
