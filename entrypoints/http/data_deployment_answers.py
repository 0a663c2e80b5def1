"""Deployments of packages in the words of their document."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

from adapters.postgres.conditions import equals
from domain.errors import NotFound
from domain.status import Status
from entrypoints.http.data_deployment_models import DeploymentStatus
from entrypoints.http.ids import parse_id
from entrypoints.http.package_answers import PREFIX as PACKAGE
from entrypoints.http.package_answers import utc
from entrypoints.http.reading import Reading
from entrypoints.http.routing import Call
from projections.read_model import Row
from projections.registry import DATA_DEPLOYMENTS

PATH = "/api/deployments"
PREFIX = "deploy-"
WORDS: dict[str, DeploymentStatus] = {
    Status.SCHEDULED: DeploymentStatus.PENDING,
    Status.IN_PROGRESS: DeploymentStatus.IN_PROGRESS,
    Status.DEPLOYED: DeploymentStatus.COMPLETED,
    Status.FAILED: DeploymentStatus.FAILED,
    Status.CANCELLED: DeploymentStatus.FAILED,
    Status.ROLLED_BACK: DeploymentStatus.ROLLED_BACK,
}


def parse_deployment_id(deployment_id: str) -> UUID:
    """The id behind its prefix; NotFound when there is none."""
    return parse_id(deployment_id, PREFIX, "Deployment")


async def find_deployment(past: Reading, deployment_id: UUID) -> Row:
    """The deployment's row, or NotFound."""
    rows = await past.select(DATA_DEPLOYMENTS, [equals("key", str(deployment_id))], order="key")
    if not rows:
        raise NotFound("Deployment not found")
    return rows[0]


async def records_of(call: Call, rows: list[Row]) -> list[dict[str, Any]]:
    """Deployments as lists show them."""
    members = ("actor", "deployed_by", "rolled_back_by")
    people = {row[by] for row in rows for by in members if row[by]}
    names = await call.app.people.logins_of(call.caller.organisation, people)
    return [record_of(row, names) for row in rows]


def record_of(row: Row, names: dict[str, str]) -> dict[str, Any]:
    """One deployment."""
    return {
        "id": f"{PREFIX}{row['id']}",
        "packageid": f"{PACKAGE}{row['package_id']}",
        "packagename": row["package"],
        "packageversion": row["version"],
        "actionid": f"action-{row['action_id']}",
        "environment": row["environment"],
        "databasename": row["database_name"],
        "status": WORDS[row["status"]],
        "scheduledat": utc(row["due_at"]),
        "deployedat": utc(row["deployed_at"]),
        "deployedby": names[row["deployed_by"]] if row["deployed_at"] else None,
        "isactive": row["is_active"],
        **what_followed(row, names),
        "active": True,
        "options": row["options"],
        "recordcounts": row["tables"],
        "errorlog": [row["error"]] if row["error"] else [],
        "warninglog": row["warnings"],
        "createdby": names[row["actor"]],
        "createdon": utc(row["created_at"]),
        "modifiedon": utc(row["updated_at"]),
    }


def what_followed(row: Row, names: dict[str, str]) -> dict[str, Any]:
    """What became of it after it was there."""
    gone = row["rolled_back_at"]
    return {
        "replacedat": utc(row["replaced_at"]),
        "replacedby": f"{PREFIX}{row['replaced_by']}" if row["replaced_by"] else None,
        "rolledbackat": utc(gone),
        "rolledbackby": names[row["rolled_back_by"]] if gone else None,
    }


def result_of(row: Row) -> dict[str, Any]:
    """A deployment that was made, as the answer to who asked for it."""
    return {
        "id": f"{PREFIX}{row['id']}",
        "package_id": f"{PACKAGE}{row['package_id']}",
        "status": WORDS[row["status"]],
        "environment": row["environment"],
        "deployed_at": utc(row["deployed_at"]),
        **what_was_done(row, row["id"]),
    }


def rehearsal_of(job: Row) -> dict[str, Any]:
    """A dry run, as the answer to who asked for it; nothing remains of it but an action."""
    return {
        "id": f"{PREFIX}{job['id']}",
        "package_id": f"{PACKAGE}{job['arguments']['package_id']}",
        "status": "validated",
        "environment": job["arguments"]["environment"],
        "deployed_at": None,
        **what_was_done(job["result"]["deployed"], None),
    }


def what_was_done(told: Row, deployment_id: str | None) -> dict[str, Any]:
    """Keys, counts and warnings. Where keys are left out it says how many there are; of a dry run none remain."""
    keys, mapped = told["keys"], told["mapped"]
    more = {t: n for t, n in mapped.items() if deployment_id and n > len(keys.get(t, {}))}
    return {
        "pk_mapping_result": {table: keys.get(table, {}) for table in mapped},
        "pk_mapping_more": {t: {"count": n, "link": link_to_keys(str(deployment_id), t)} for t, n in more.items()},
        "tables": told["tables"],
        "warnings": told["warnings"],
    }


def link_to_keys(deployment_id: str, table: str) -> str:
    """Where all keys of a table are."""
    return f"{PATH}/{PREFIX}{deployment_id}/mappings?table={quote(table, safe='')}"
