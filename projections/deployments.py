"""Deployments as their users list them: one row a deployment, in the words of the deployment queue."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from domain.taxonomy import Taxonomy
from projections.read_model import Row, moment

STATUS_OF = {
    "deployment.started": "in_progress",
    "deployment.claimed": "in_progress",
    "deployment.claim_lapsed": "scheduled",
    "deployment.deployed": "deployed",
    "deployment.failed": "failed",
    "deployment.skipped": "skipped",
    "deployment.cancelled": "cancelled",
    "deployment.rolled_back": "rolled_back",
    "deployment.rescheduled": "scheduled",
}
TOLD = ("notes", "source_deployment_id", "rollback_from_deployment_id", "deployment_uri")
CREATED_BY = ("created_by_repo", "created_by_workflow")
# What no longer holds once the status is another one.
OVER = {"skipped_by": None, "skip_rule": None, "claimed_by": None, "lease_until": None}
EMPTY = {**OVER, "approved": False, "fence": 0}


class Deployments:
    """One row a deployment. `actor` is a pseudonym; whoever answers a request puts the login in its place."""

    name: ClassVar[str] = "deployments"
    version: ClassVar[int] = 2
    aggregates: ClassVar[tuple[str, ...]] = ("deployment",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "status": 'text collate "C"',
        "name": 'text collate "C"',
        "environment": 'text collate "C"',
        "provider": 'text collate "C"',
        "cloud_account_id": 'text collate "C"',
        "region": 'text collate "C"',
        "cell": 'text collate "C"',
        "trigger": 'text collate "C"',
        "lane_id": "uuid",
        "lease_until": "timestamptz",
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "newest": "btree (organisation, created_position desc)",
        "newest_live": f"btree (organisation, created_position desc) where to_position = {2**63 - 1}",
        "status_live": f"btree (organisation, status, created_position desc) where to_position = {2**63 - 1}",
        "lane_live": f"btree (lane_id, created_position desc) where to_position = {2**63 - 1}",
        "status": "btree (organisation, status, created_position desc)",
        "name": "btree (organisation, name, created_position desc)",
        "environment": "btree (organisation, environment, created_position desc)",
        "status_filed": "btree (organisation, status, fork)",
        "waiting": f"btree (created_position) where to_position = {2**63 - 1} and status = 'scheduled'",
        "leases": f"btree (lease_until) where to_position = {2**63 - 1} and lease_until is not null",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Deployments are keyed by their own id."""
        return event.stream_id[11:] if event.stream_id.startswith("deployment-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Scheduled makes the row; everything after changes it, and moves updated_at and the version."""
        at = moment(event.recorded_at)
        if event.topic == "deployment.scheduled":
            return scheduled(event, data, at)
        if row is None:
            raise ValueError(f"{event.topic} before deployment.scheduled")
        changed = {**row, **changes(event, data), "updated_at": at, "version_number": event.version}
        changed["position"] = event.commit_position
        return changed


def changes(event: RecordedEvent, data: dict[str, Any]) -> Row:
    """The members that an event sets."""
    changed: Row = {}
    if status := STATUS_OF.get(event.topic):
        changed = {"status": status, **OVER}
    match event.topic:
        case "deployment.skipped":
            changed |= {"skipped_by": data["skipped_by"], "skip_rule": data["rule"]}
        case "deployment.claimed":
            changed |= {"claimed_by": data["runner"], "fence": data["fence"], "lease_until": data["lease_until"]}
        case "deployment.annotated":
            changed |= data["changes"]
        case "deployment.approved":
            changed["approved"] = True
    return changed


def scheduled(event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """A new row."""
    taxonomy, release = data["taxonomy"], data["release"]
    return {
        "id": event.stream_id[11:],
        "created_at": at,
        "updated_at": at,
        "organisation": event.organisation,
        **taxonomy,
        **release,
        **{name: data[name] for name in (*TOLD, *CREATED_BY, "trigger", "number")},
        "status": "scheduled",
        "auto": data["trigger"] == "auto",
        "actor": data["requested_by"],
        **EMPTY,
        "lane_id": lane_of(event, taxonomy),
        "version_number": event.version,
        "created_position": event.position,
        "position": event.commit_position,
    }


def lane_of(event: RecordedEvent, taxonomy: dict[str, Any]) -> str:
    """The lane that the deployment queues in."""
    return str(Taxonomy(**taxonomy).lane_id(event.organisation))
