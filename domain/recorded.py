"""What stands in the log: an event as it was recorded, with everything around it."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from pydantic_core import from_json


@dataclass
class RecordedEvent:
    """One event of the log.

    `position` is its place in the one global order; `commit_position` is the position of the last event
    that was appended with it, and no reader ever stops between the two. `sequence` counts the events of
    its organisation without a gap. `payload` and `envelope_bytes` are the exact bytes that were hashed.
    Nobody changes one; that Python does not forbid it is because a frozen one takes five times as long to make.
    """

    position: int
    commit_position: int
    event_id: UUID
    stream_id: str
    version: int
    topic: str
    schema_version: int
    organisation: str
    sequence: int
    recorded_at: datetime
    payload: bytes
    envelope_bytes: bytes
    previous_hash: bytes
    hash: bytes

    @cached_property
    def data(self) -> dict[str, Any]:
        """The payload as it was written, not upcast."""
        parsed: dict[str, Any] = from_json(self.payload)
        return parsed

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """Actor, cause, origin, decision and the fields above, as they were sealed."""
        parsed: dict[str, Any] = from_json(self.envelope_bytes)
        return parsed

    @property
    def occurred_at(self) -> datetime:
        """When it happened, as told."""
        return datetime.fromisoformat(self.envelope["occurred_at"])
