"""What was done with packages: one row for each time that one was packed, imported, exported, tried, deployed or
rolled back, whatever came of it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.recorded import RecordedEvent
from projections.read_model import Row, moment

BEGINNINGS = {
    "package.defined": ("pack", "pending"),
    "package.imported": ("import", "completed"),
    "package.export_requested": ("export", "pending"),
    "package.exported": ("export", "completed"),
    "package.export_failed": ("export", "failed"),
    "package.validated": ("validate", "completed"),
    "data_deployment.requested": ("deploy", "pending"),
    "data_deployment.requested_again": ("deploy", "pending"),
    "data_deployment.rollback_requested": ("rollback", "in_progress"),
}
TURNS = {
    "package.packing_started": "in_progress",
    "package.packing_finished": "completed",
    "package.packing_failed": "failed",
    "package.export_started": "in_progress",
    "package.exported": "completed",
    "package.export_failed": "failed",
    "data_deployment.started": "in_progress",
    "data_deployment.deployed": "completed",
    "data_deployment.failed": "failed",
    "data_deployment.cancelled": "failed",
    "data_deployment.rollback_failed": "failed",
    "data_deployment.rolled_back": "completed",
}
WAITS = ("pending", "in_progress")
COUNTED = ("new", "changed", "same")


class PackageActions:
    """One row an action. `records` counts what was handled by table; `actor` is a pseudonym."""

    name: ClassVar[str] = "package_actions"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("package", "data_deployment")
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "package_id": 'text collate "C"',
        "kind": 'text collate "C"',
        "status": 'text collate "C"',
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "newest": "btree (organisation, package_id, created_position desc)",
        "newest_live": f"btree (organisation, package_id, created_position desc) where to_position = {2**63 - 1}",
        "status_filed": "btree (organisation, status, fork)",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Actions are keyed by the id that their events carry."""
        return event.data["action_id"] if event.topic in BEGINNINGS or event.topic in TURNS else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Some events are an action, or begin one; others say how it goes on. A file that nobody waited for was asked
        for before it is there."""
        at = moment(event.recorded_at)
        if event.topic in BEGINNINGS and (row is None or event.topic not in TURNS):
            return begun(event, data, at)
        if row is None:
            raise ValueError(f"{event.topic} without its beginning")
        return {**row, **turn(row, TURNS[event.topic], data, at)}


def begun(event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """A new row."""
    kind, status = BEGINNINGS[event.topic]
    ended = status not in WAITS
    source, target = places(kind, data)
    return {
        "id": data["action_id"],
        "organisation": event.organisation,
        "package_id": data.get("package_id") or event.stream_id.partition("-")[2],
        "kind": kind,
        "status": "failed" if data.get("error") else status,
        "source_environment": source,
        "target_environment": target,
        "deployment_id": event.stream_id.partition("-")[2] if event.stream_id.startswith("data_") else None,
        "options": data.get("options") or data.get("selection") or {},
        "records": records(data) if ended else {},
        "error": data.get("error"),
        "warnings": [],
        "actor": data.get("requested_by") or event.envelope["actor"]["id"],
        "created_at": at,
        "started_at": at if status != "pending" else None,
        "completed_at": at if ended else None,
        "created_position": event.position,
    }


def places(kind: str, data: dict[str, Any]) -> tuple[str | None, str | None]:
    """From where, and to where."""
    where = data.get("environment")
    return (where, None) if kind in ("pack", "export") else (None, where)


def turn(row: Row, status: str, data: dict[str, Any], at: str) -> Row:
    """The members that change with the status."""
    if status in WAITS:
        return {"status": status, "started_at": row["started_at"] or at}
    error = data.get("error") or (data.get("reason") or "It was cancelled" if "reason" in data else None)
    return {
        "status": status,
        "completed_at": at,
        "started_at": row["started_at"] or at,
        "records": records(data),
        "error": error,
        "warnings": data.get("warnings", []),
    }


def records(data: dict[str, Any]) -> dict[str, dict[str, int]]:
    """How many records succeeded and failed, by table."""
    if tables := data.get("tables"):
        return {
            name: {"succeeded": sum(counts.get(k, 0) for k in COUNTED), "failed": counts.get("failed", 0)}
            for name, counts in tables.items()
        }
    packed = data["packed"]["records"] if "packed" in data else data.get("records", {})
    return {name: {"succeeded": rows, "failed": 0} for name, rows in packed.items()}
