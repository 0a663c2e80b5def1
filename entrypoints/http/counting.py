"""Moves the counters of the deployment queue, in the words of its contract, before an answer is sent."""

from typing import Any

from adapters import metrics
from application.ports.event_store import Appended, Commit
from domain.deployment import Deployment
from domain.status import Status
from projections.read_model import Row


class Counting:
    """Counts what was recorded; a repeat of it counts as nothing."""

    def updated(self, row: Row, status: Status | None, done: Appended) -> None:
        """Somebody said what has become of a deployment."""
        if not done.repeated:
            metrics.UPDATED.labels(metrics.organisation(row["organisation"]), status or row["status"]).inc()

    def appended(self, commit: Commit, done: Appended) -> None:
        """Events were recorded for the first time."""
        for events in commit.streams.values():
            for event in events:
                metrics.EVENTS_APPENDED.labels(type(event).TOPIC).inc()  # type: ignore[attr-defined]
                count(commit.organisation, event)


def count(organisation: str, event: Any) -> None:
    """Moves the counters that are about one kind of event."""
    if isinstance(event, Deployment.Scheduled):
        place = metrics.place(organisation, event.taxonomy.provider, event.release.environment)
        metrics.CREATED.labels(*place, event.trigger).inc()
        if event.trigger == "rollback":
            metrics.ROLLBACKS.labels(*place[:2]).inc()
    if isinstance(event, Deployment.Skipped):
        metrics.SKIPPED.labels(metrics.organisation(organisation)).inc()
