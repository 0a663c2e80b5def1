"""Moves the counters of the deployment queue, before an answer is sent."""

from adapters import metrics
from application.ports.event_store import Appended, Commit
from domain.deployment import Deployment
from domain.status import Status
from projections.read_model import Row


class Counting:
    """Counts in the words of the queue's contract."""

    def created(self, row: Row) -> None:
        """A deployment was queued."""
        organisation, environment = metrics.bounded("organisation", row["organisation"]), row["environment"]
        labels = (organisation, row["provider"], metrics.bounded("environment", environment), row["trigger"])
        metrics.CREATED.labels(*labels).inc()

    def updated(self, row: Row, status: Status | None, done: Appended) -> None:
        """Somebody said what has become of a deployment."""
        if not done.repeated:
            metrics.UPDATED.labels(metrics.bounded("organisation", row["organisation"]), status or row["status"]).inc()

    def rolled_back(self, row: Row) -> None:
        """A rollback was queued or started."""
        metrics.ROLLBACKS.labels(metrics.bounded("organisation", row["organisation"]), row["provider"]).inc()

    def appended(self, commit: Commit, done: Appended) -> None:
        """Events were recorded."""
        for events in commit.streams.values():
            for event in events:
                metrics.EVENTS_APPENDED.labels(type(event).TOPIC).inc()  # type: ignore[attr-defined]
                if isinstance(event, Deployment.Skipped):
                    metrics.SKIPPED.labels(metrics.bounded("organisation", commit.organisation)).inc()
