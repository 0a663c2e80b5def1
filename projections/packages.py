"""Packages as their users list them: one row a package, also after it was deleted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from domain.manifest import PackageInfo
from domain.recorded import RecordedEvent
from projections.read_model import Row, moment

EMPTY: Row = {"packed": None, "tags": [], "error": None}


class Packages:
    """One row a package. `environment` is where it came from, or was imported for; `actor` is a pseudonym."""

    name: ClassVar[str] = "packages"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("package",)
    columns: ClassVar[Mapping[str, str]] = {
        "created_position": "bigint",
        "name": 'text collate "C"',
        "package_type": 'text collate "C"',
        "environment": 'text collate "C"',
        "status": 'text collate "C"',
        "original_id": 'text collate "C"',
    }
    indexes: ClassVar[Mapping[str, str]] = {
        "newest": "btree (organisation, created_position desc)",
        "newest_live": f"btree (organisation, created_position desc) where to_position = {2**63 - 1}",
        "name": "btree (organisation, name, created_position desc)",
        "original": "btree (organisation, original_id, created_position desc)",
        "status_filed": "btree (organisation, status, fork)",
    }

    def key(self, event: RecordedEvent) -> str | None:
        """Packages are keyed by their own id."""
        return event.stream_id[8:] if event.stream_id.startswith("package-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Defined or imported makes the row; what is only history leaves it as it is."""
        at = moment(event.recorded_at)
        if event.topic in ("package.defined", "package.imported"):
            return made(event, data, at)
        if row is None:
            raise ValueError(f"{event.topic} before package.defined")
        changed = changes(event, data)
        if not changed:
            return row
        return {**row, **changed, "updated_at": at, "version_number": event.version}


def made(event: RecordedEvent, data: dict[str, Any], at: str) -> Row:
    """A new row."""
    told = ("name", "version", "package_type", "description", "environment", "metadata", "dependencies")
    imported = event.topic == "package.imported"
    return {
        "id": event.stream_id[8:],
        "organisation": event.organisation,
        **{name: data[name] for name in told},
        **EMPTY,
        "packed": data.get("packed"),
        "selection": data.get("selection"),
        "imported": imported,
        "original_id": data.get("original_id"),
        "signed_by": data.get("signed_by"),
        "status": "active" if imported else "packing",
        "actor": data["requested_by"],
        "created_at": at,
        "updated_at": at,
        "version_number": event.version,
        "created_position": event.position,
    }


def changes(event: RecordedEvent, data: dict[str, Any]) -> Row:
    """The members that an event sets."""
    match event.topic:
        case "package.packing_finished":
            return {"status": "active", "packed": data["packed"]}
        case "package.packing_failed":
            return {"status": "failed", "error": data["error"]}
        case "package.described":
            return dict(data["changes"])
        case "package.deleted":
            return {"status": "deleted"}
    return {}


def info_of(row: Row, created_by: str) -> PackageInfo:
    """What the package's document says about it; `created_by` is a login."""
    return PackageInfo(
        id=f"pkg-{row['id']}",
        name=row["name"],
        version=row["version"],
        package_type=row["package_type"],
        created_at=datetime.fromisoformat(row["created_at"]),
        created_by=created_by,
        description=row["description"],
        metadata=row["metadata"],
        dependencies=tuple(f"pkg-{one}" for one in row["dependencies"]),
    )
