"""What stands in the log: an event as it was recorded, with everything around it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event of the log.

    `position` is its place in the one global order; `commit_position` is the position of the last event
    that was appended with it, and no reader ever stops between the two. `sequence` counts the events of
    its organisation without a gap. `data` is the payload as it was written, not upcast. `envelope` is the
    whole sealed envelope (actor, cause, origin, decision and the fields above), parsed.
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
    occurred_at: datetime
    recorded_at: datetime
    envelope: dict[str, Any]
    data: dict[str, Any]
