"""Packages and what was done with them, in the words of their document."""

from datetime import datetime
from typing import Any
from uuid import UUID

from adapters.postgres.conditions import equals, one_of
from application.authorisation import may
from domain.errors import NotFound
from domain.package_status import PackageStatus
from entrypoints.http.ids import parse_id
from entrypoints.http.reading import Reading
from entrypoints.http.routing import Call
from projections.read_model import Row
from projections.registry import DATA_DEPLOYMENTS, PACKAGES

PREFIX = "pkg-"


def parse_package_id(package_id: str) -> UUID:
    """The id behind its prefix; NotFound when there is none."""
    return parse_id(package_id, PREFIX, "Package")


async def find_package(reading: Reading, package_id: str) -> Row:
    """The package's row; NotFound also when it was deleted."""
    rows = await reading.select(PACKAGES, [equals("key", str(parse_package_id(package_id)))], order="key")
    if not rows or rows[0]["status"] == PackageStatus.DELETED:
        raise NotFound("Package not found")
    return rows[0]


def may_read_rows(call: Call) -> bool:
    """Whether the caller may see the rows that are moved, their keys too, and not only what they are in."""
    return may(call.caller, "package.data")


async def records_of(call: Call, rows: list[Row]) -> list[dict[str, Any]]:
    """Packages as lists show them."""
    names = await logins(call, rows)
    return [record_of(row, names[row["actor"]]) for row in rows]


def record_of(row: Row, created_by: str) -> dict[str, Any]:
    """One package without its data."""
    packed = row["packed"] or {}
    same = ("name", "version", "description", "status", "environment", "tags", "metadata", "imported")
    return {
        "id": f"{PREFIX}{row['id']}",
        **{name: row[name] for name in same},
        "packagetype": row["package_type"],
        "databasetype": packed.get("database_type"),
        "checksum": packed.get("checksum"),
        "filesize": packed.get("size"),
        "active": row["status"] != PackageStatus.DELETED,
        "dependencies": [f"{PREFIX}{one}" for one in row["dependencies"]],
        "includeparent": bool((row["selection"] or {}).get("include_parent")),
        "recordcounts": packed.get("records"),
        "originalid": row["original_id"],
        "signedby": row["signed_by"],
        "errorlog": [row["error"]] if row["error"] else [],
        "createdby": created_by,
        "createdon": utc(row["created_at"]),
        "modifiedon": utc(row["updated_at"]),
    }


async def actions_of(past: Reading, rows: list[Row]) -> list[dict[str, Any]]:
    """Actions as their history shows them; what a deployment did is rolled back when the deployment is."""
    names, undone = await logins(past.call, rows), await undone_of(past, rows)
    shown = [{**row, "status": "rolled_back"} if row["id"] in undone else row for row in rows]
    return [action_of(row, names[row["actor"]]) for row in shown]


async def undone_of(past: Reading, rows: list[Row]) -> set[str]:
    """The actions of these whose deployment was taken back."""
    made = [row["deployment_id"] for row in rows if row["kind"] == "deploy" and row["status"] == "completed"]
    gone = [one_of("key", made), equals("status", "rolled_back")]
    return {row["action_id"] for row in await past.select(DATA_DEPLOYMENTS, gone)} if made else set()


def action_of(row: Row, performed_by: str) -> dict[str, Any]:
    """One action."""
    succeeded = sum(counts["succeeded"] for counts in row["records"].values())
    failed = sum(counts["failed"] for counts in row["records"].values())
    return {
        "id": f"action-{row['id']}",
        "packageid": f"{PREFIX}{row['package_id']}",
        "actiontype": row["kind"],
        "actionstatus": row["status"],
        "sourceenvironment": row["source_environment"],
        "targetenvironment": row["target_environment"],
        "deploymentid": f"deploy-{row['deployment_id']}" if row["deployment_id"] else None,
        "performedat": utc(row["created_at"]),
        "performedby": performed_by,
        "startedat": utc(row["started_at"]),
        "completedat": utc(row["completed_at"]),
        "durationseconds": seconds(row["started_at"], row["completed_at"]),
        "recordsprocessed": succeeded + failed,
        "recordssucceeded": succeeded,
        "recordsfailed": failed,
        "tablesprocessed": len(row["records"]),
        "options": row["options"],
        "errorlog": [row["error"]] if row["error"] else [],
        "warninglog": row["warnings"],
    }


async def logins(call: Call, rows: list[Row]) -> dict[str, str]:
    """Logins in the place of pseudonyms."""
    found: dict[str, str] = await call.app.people.logins_of(call.caller.organisation, {row["actor"] for row in rows})
    return found


def utc(moment: str | None) -> str | None:
    """A moment with its Z."""
    return moment.replace("+00:00", "Z") if moment else None


def seconds(start: str | None, end: str | None) -> float | None:
    """How long it took, once it has ended."""
    if not start or not end:
        return None
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 3)
