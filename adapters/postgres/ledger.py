"""A log in memory, sealed as append seals it: for a past that is decided first and loaded into an empty store whole."""

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from eventsourcing.utils import get_topic

from adapters.postgres import codec
from application.ports.event_store import Appended, CommandKey, Commit, Conflict, DomainEvent, Taken

Row = tuple[int, int, UUID, str, int, str, int, str, int, datetime, bytes, bytes, bytes, bytes]
NO_HASH = bytes(32)


class Ledger:
    """See the port of the event store. `clock` says when things are recorded, `new_id` names events at a moment.

    `rows` are those of the table of events, `keys` those of the names that are in use.
    """

    def __init__(self, clock: Callable[[], datetime], new_id: Callable[[datetime], UUID]) -> None:
        self.clock = clock
        self.new_id = new_id
        self.rows: list[Row] = []
        self.keys: dict[tuple[str, str], str] = {}
        self.streams: dict[str, list[DomainEvent]] = {}
        self.ends: dict[str, tuple[int, bytes]] = {}
        self.last = datetime.min.replace(tzinfo=UTC)

    async def load(self, organisation: str, stream_ids: Sequence[str]) -> dict[str, Any]:
        """Each aggregate folded from its events."""
        found: dict[str, Any] = {}
        for stream_id in stream_ids:
            for event in self.streams.get(stream_id, ()):
                found[stream_id] = event.mutate(found.get(stream_id))
        return found

    async def moved(self, organisation: str, versions: Mapping[str, int]) -> bool:
        """Whether any of these streams is at another version."""
        return any(len(self.streams.get(one, ())) != version for one, version in versions.items())

    async def outcome(self, organisation: str, key: CommandKey) -> Appended | None:
        """Nothing comes twice here."""
        return None

    async def append(self, commit: Commit) -> Appended:
        """Refuses what append would refuse, and records the rest."""
        expected = {one: events[0].originator_version - 1 for one, events in commit.streams.items()}
        if await self.moved(commit.organisation, expected | commit.guards):
            raise Conflict("conflict")
        if any((commit.organisation, key) in self.keys for key in commit.taken):
            raise Taken
        self.last = max(self.clock(), self.last + timedelta(microseconds=1))
        self.record(commit)
        for key in commit.released:
            self.keys.pop((commit.organisation, key), None)
        self.keys |= {(commit.organisation, key): stream_id for key, stream_id in commit.taken.items()}
        return Appended(len(self.rows), self.last, commit.resource)

    def record(self, commit: Commit) -> None:
        """Adds the commit's rows."""
        events = [(stream_id, event) for stream_id, found in commit.streams.items() for event in found]
        command_id, last = self.new_id(self.last), len(self.rows) + len(events)
        for stream_id, event in events:
            event_id = self.new_id(self.last)
            envelope = codec.encode_envelope(event, event_id, stream_id, command_id, commit)
            self.add(commit.organisation, stream_id, event, event_id, envelope, last)

    def add(
        self, organisation: str, stream_id: str, event: DomainEvent, event_id: UUID, envelope: bytes, last: int
    ) -> None:
        """One event, sealed behind the one before it."""
        position = len(self.rows) + 1
        sequence, before = self.ends.get(organisation, (0, NO_HASH))
        stamp = f',"position":{position},"commit_position":{last},"sequence":{sequence + 1}'
        sealed = envelope[:-1] + f'{stamp},"recorded_at":"{self.last:%Y-%m-%dT%H:%M:%S.%f}Z"}}'.encode()
        payload = codec.encode_payload(event)
        inner = hashlib.sha256(sealed).digest() + hashlib.sha256(payload).digest()
        after = hashlib.sha256(before + inner).digest()
        kind = type(event)
        facts = (stream_id, event.originator_version, get_topic(kind), codec.schema_version(cast(Hashable, kind)))
        place = (position, last, event_id)
        self.rows.append((*place, *facts, organisation, sequence + 1, self.last, sealed, payload, before, after))
        self.ends[organisation] = sequence + 1, after
        self.streams.setdefault(stream_id, []).append(event)
