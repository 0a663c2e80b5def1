"""The stock `eventsourcing` application over our aggregates: the slow reference, alone or behind our own port."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import IntegrityError, Transcoding
from psycopg.conninfo import conninfo_to_dict
from pydantic import TypeAdapter

from application.ports.event_store import Appended, CommandKey, Commit, Conflict
from domain.freezes import Freeze
from domain.lane import Entry, Hold
from domain.release import Release
from domain.rules import HouseRules
from domain.taxonomy import Taxonomy

VALUES = (Taxonomy, Release, Entry, Hold, Freeze, HouseRules)


class Values(Transcoding):
    """A value object as its fields."""

    def __init__(self, kind: type[Any]) -> None:
        self.type = kind
        self.name = kind.__name__
        self.adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def encode(self, obj: Any) -> Any:
        """The fields."""
        return self.adapter.dump_python(obj, mode="json")

    def decode(self, data: Any) -> Any:
        """The value."""
        return self.adapter.validate_python(data)


class Stock(Application[UUID]):
    """Keeps the aggregates with everything at its defaults: in memory, or where its environment says."""

    def register_transcodings(self, transcoder: Any) -> None:
        """Teaches it our value objects."""
        super().register_transcodings(transcoder)
        for kind in VALUES:
            transcoder.register(Values(kind))


def stock_on(url: str) -> Stock:
    """With its own Postgres recorder, in tables of its own in this database."""
    return Stock(env=stock_environment(url))


def stock_environment(url: str) -> dict[str, str]:
    """What the library is told of a database."""
    facts = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(facts["dbname"]),
        "POSTGRES_HOST": str(facts["host"]),
        "POSTGRES_PORT": str(facts["port"]),
        "POSTGRES_USER": str(facts["user"]),
        "POSTGRES_PASSWORD": str(facts["password"]),
        "POSTGRES_POOL_SIZE": "8",
        "POSTGRES_MAX_OVERFLOW": "8",
    }


class StockStore:
    """Our port of the event store, kept by a stock application; for one caller at a time."""

    def __init__(self, application: Stock) -> None:
        self.application = application

    async def load(self, organisation: str, stream_ids: Sequence[str]) -> dict[str, Any]:
        """The aggregates in these streams, folded from all their events."""
        found = {stream_id: self.aggregate(stream_id) for stream_id in stream_ids}
        return {s: a for s, a in found.items() if a is not None and a.organisation == organisation}

    def aggregate(self, stream_id: str) -> Any | None:
        """One aggregate, or None when its stream is empty."""
        with suppress(AggregateNotFoundError):
            return self.application.repository.get(UUID(stream_id.split("-", 1)[1]))
        return None

    async def append(self, commit: Commit) -> Appended:
        """Puts all events at once, or raises Conflict."""
        for stream_id, version in commit.guards.items():
            guarded = self.aggregate(stream_id)
            if (guarded.version if guarded else 0) != version:
                raise Conflict(stream_id)
        events: list[Any] = [event for stream in commit.streams.values() for event in stream]
        try:
            recordings = self.application.events.put(events)
        except IntegrityError as problem:
            raise Conflict(str(problem)) from problem
        return Appended(recordings[-1].notification.id, datetime.now(UTC), commit.resource)

    async def moved(self, organisation: str, versions: Mapping[str, int]) -> bool:
        """Whether somebody else has written; an absent aggregate is at version 0."""
        present = ((self.aggregate(stream_id), version) for stream_id, version in versions.items())
        return any((aggregate.version if aggregate else 0) != version for aggregate, version in present)

    async def outcome(self, organisation: str, key: CommandKey) -> Appended | None:
        """It remembers no commands."""
        return None
