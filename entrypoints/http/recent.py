"""Deployments as this process last answered them, so that a writer need not wait for the projector."""

from collections import OrderedDict
from collections.abc import Sequence

import structlog

from adapters.postgres import codec
from application.ports.event_store import Appended
from domain.recorded import RecordedEvent
from projections.read_model import Row
from projections.registry import DEPLOYMENTS

log = structlog.get_logger()
REMEMBERED = 20_000


class RecentRows:
    """Rows by deployment; what a command appended is folded onto them as the projector will fold it."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self.size = size
        self.rows: OrderedDict[str, Row] = OrderedDict()

    def after(self, done: Appended, read: Row | None = None) -> Row | None:
        """The row as the command left it, or None when the row before it is not known here.

        `read` is a row that was just read; without it the remembered one serves.
        """
        events = [e for e in done.events if e.stream_id == f"deployment-{done.resource}"]
        row = read or self.rows.get(done.resource)
        if not events or (row["version_number"] if row else 0) != events[0].version - 1:
            return None
        return self.told(done.resource, row, events)

    def told(self, deployment_id: str, row: Row | None, events: Sequence[RecordedEvent]) -> Row | None:
        """The row after these events, remembered; None when a fault of ours keeps it from being told."""
        try:
            row = folded(row, events)
        except Exception as problem:
            # What was acknowledged has happened: a fault of ours here must not tell the writer otherwise.
            log.error("recent.unfoldable", deployment_id=deployment_id, problem=f"{type(problem).__name__}: {problem}")
            return None
        if row is not None:
            self.remember(deployment_id, row)
        return row

    def remember(self, deployment_id: str, row: Row) -> None:
        """Keeps a row, unless a later one is known, and forgets the oldest beyond the size."""
        known = self.rows.get(deployment_id)
        if known and known["version_number"] > row["version_number"]:
            return
        self.rows[deployment_id] = row
        self.rows.move_to_end(deployment_id)
        if len(self.rows) > self.size:
            self.rows.popitem(last=False)


def folded(row: Row | None, events: Sequence[RecordedEvent]) -> Row | None:
    """The row after these events."""
    for event in events:
        _, data = codec.upcast(event.topic, event.schema_version, event.data)
        row = DEPLOYMENTS.fold(row, event, data)
    return row
