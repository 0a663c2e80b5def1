"""Data deployments as their users list them: one row a deployment of a package to an environment."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment

STATUS_OF = {
    "data_deployment.requested_again": "scheduled",
    "data_deployment.started": "in_progress",
    "data_deployment.deployed": "deployed",
    "data_deployment.failed": "failed",
    "data_deployment.cancelled": "cancelled",
    "data_deployment.rolled_back": "rolled_back",
}
EMPTY: Row = {
    "database_name": None,
    "deployed_at": None,
    "tables": {},
    "keys": {},
    "mapped": {},
    "kept": None,
    "warnings": [],
    "error": None,
    "is_active": False,
    "replaced_by": None,
    "replaced_at": None,
    "rolled_back_at": None,
    "rolled_back_by": None,
}


class DataDeployments:
    """One row a data deployment. `is_active` is that of the newest of its package in its environment that is there.

    `actor`, `deployed_by` and `rolled_back_by` are pseudonyms; who asked for a rollback has that name from then on.
    """

    name: ClassVar[str] = "data_deployments"
    version: ClassVar[int] = 2
    aggregates: ClassVar[tuple[str, ...]] = ("data_deployment",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "package_id": 'text collate "C"',
        "package": 'text collate "C"',
        "environment": 'text collate "C"',
        "status": 'text collate "C"',
        "is_active": "boolean",
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "newest": "btree (organisation, created_position desc)",
        "newest_live": f"btree (organisation, created_position desc) where to_position = {2**63 - 1}",
        "package": "btree (organisation, package_id, created_position desc)",
        "package_name": "btree (organisation, package, created_position desc)",
        "environment": "btree (organisation, environment, created_position desc)",
        "status_filed": "btree (organisation, status, fork)",
        "active_filed": "btree (organisation, fork) where is_active",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Data deployments are keyed by their own id."""
        return event.stream_id[16:] if event.stream_id.startswith("data_deployment-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Requested makes the row; everything after changes it."""
        at = moment(event.recorded_at)
        if event.topic == "data_deployment.requested":
            return requested(event, data, at)
        if row is None:
            raise ValueError(f"{event.topic} before data_deployment.requested")
        kept = {"updated_at": at, "version_number": event.version}
        return {**row, **changes(row, event, data, at), **kept}


def requested(event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """A new row."""
    told = ("package_id", "package", "version", "environment", "options", "due_at", "action_id")
    return {
        "id": event.stream_id[16:],
        "organisation": event.organisation,
        **{name: data[name] for name in told},
        **EMPTY,
        "status": "scheduled",
        "actor": data["requested_by"],
        "deployed_by": data["requested_by"],
        "created_at": at,
        "updated_at": at,
        "version_number": event.version,
        "created_position": event.position,
    }


def changes(row: Row, event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """The members that an event sets."""
    changed: Row = {}
    if status := STATUS_OF.get(event.topic):
        changed = {"status": status, "error": data.get("error")}
    match event.topic:
        case "data_deployment.deployed":
            told = {name: data[name] for name in ("database_name", "tables", "keys", "mapped", "kept", "warnings")}
            changed |= {**told, "deployed_at": at, "is_active": True}
        case "data_deployment.cancelled":
            changed["error"] = data["reason"] or "It was cancelled"
        case "data_deployment.requested_again":
            changed |= {"action_id": data["action_id"], "deployed_by": data["requested_by"], "due_at": None}
        case "data_deployment.replaced":
            changed = {"is_active": False, "replaced_by": data["by"], "replaced_at": at}
        case "data_deployment.reinstated":
            changed = {"is_active": True, "replaced_by": None, "replaced_at": None}
        case "data_deployment.rollback_requested":
            changed = {"rolled_back_by": data["requested_by"], "error": None}
        case "data_deployment.rollback_failed":
            changed = {"rolled_back_by": None, "error": data["error"]}
        case "data_deployment.rolled_back":
            changed |= {"rolled_back_at": at, "is_active": False}
    return changed
