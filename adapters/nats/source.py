"""What the relay needs of the event log."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID


class StoredEvent(Protocol):
    """An event with the bytes that were hashed; `domain.recorded.RecordedEvent` explains the other facts."""

    @property
    def position(self) -> int: ...
    @property
    def commit_position(self) -> int: ...
    @property
    def event_id(self) -> UUID: ...
    @property
    def stream_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def topic(self) -> str: ...
    @property
    def schema_version(self) -> int: ...
    @property
    def organisation(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def recorded_at(self) -> datetime: ...
    @property
    def envelope(self) -> Mapping[str, Any]: ...
    @property
    def envelope_bytes(self) -> bytes: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def previous_hash(self) -> bytes: ...
    @property
    def hash(self) -> bytes: ...


class Log(Protocol):
    """The event log, read from one end to the other. Positions have no gaps."""

    async def read_after(self, position: int, limit: int) -> Sequence[StoredEvent]:
        """The next events, in order: whole commits, so perhaps more than `limit` to finish one; none at the end.

        A position inside a commit is answered with the rest of that commit first.
        """
        ...

    async def head(self) -> int:
        """The last position; 0 when the log is empty."""
        ...

    async def identity(self) -> tuple[str, int]:
        """Store id and epoch as they are now, not as they were remembered."""
        ...

    async def wait_beyond(self, position: int, timeout: float, read: int) -> None:
        """Returns when something beyond `position` may be there, or after `timeout` seconds.

        `read` is how many events the caller has just read; after many it may take longer, so that others gather.
        """
        ...
