"""For every route of packages, their jobs, uploads and deployments a request that one tenant may send."""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.tenancy.requests import Build, Facts, Hand

COLUMNS = [{"name": "id", "data_type": "integer", "is_primary_key": True, "is_nullable": False}, {"name": "name"}]
MANY = 10**9


def chosen(hand: "Hand") -> "Facts":
    """Rows of an environment, which may be another tenant's or nobody's."""
    return {"filter": {"tables": ["things"]}, "environment": hand.chance.choice(hand.known("environment"))}


def definition(hand: "Hand") -> "Facts":
    """A package, whose job nobody waits for."""
    texts = {"description": hand.mine.mark, "metadata": {"text": hand.mine.mark}}
    named = {"name": hand.mine.mark, "version": str(hand.chance.randint(1, MANY)), "package_type": "database"}
    return {"json": {**chosen(hand), **texts, **named, "run_as_background": True}}


def document(hand: "Hand", name: str) -> bytes:
    """A package as a file, always of the same length."""
    rows = [{"id": 1, "name": hand.mine.mark}]
    table = {"table_name": "things", "columns": COLUMNS, "pk_columns": ["id"], "rows": rows}
    data = {"database_type": "postgresql", "tables": [table]}
    version = str(hand.chance.randint(MANY, 2 * MANY))
    facts = {"name": name, "version": version, "package_type": "database", "database_data": data}
    return json.dumps(facts).ljust(1000).encode()


def brought(hand: "Hand") -> "Facts":
    """A file in a request."""
    return {"content": document(hand, "brought"), "headers": {"content-type": "application/json"}}


def deploying(hand: "Hand") -> "Facts":
    """Where a package goes, some day."""
    where = {"environment": hand.chance.choice(hand.known("environment"))}
    return {"json": {**where, "run_as_background": True}}


def generating(hand: "Hand") -> "Facts":
    """A file, at once or some day."""
    return {"json": {"format": "json", "background": hand.chance.random() < 0.3}}


def piece(hand: "Hand") -> "Facts":
    """All bytes of an upload."""
    return {"content": document(hand, "uploaded"), "headers": {"upload-offset": "0", "content-type": OFFSET_STREAM}}


def past(hand: "Hand") -> "Facts":
    """Nothing but perhaps a moment."""
    return {"params": hand.moment()}


def nothing(_: "Hand") -> "Facts":
    """The path says it all."""
    return {}


def table(_: "Hand") -> "Facts":
    """Which table."""
    return {"params": {"table": "things"}}


def sent(**body: Any) -> "Build":
    """A body in JSON, always the same but for the tenant's own mark."""
    return lambda hand: {"json": {name: value or hand.mine.mark for name, value in body.items()}}


OFFSET_STREAM = "application/offset+octet-stream"
PACKAGE_REQUESTS: "dict[str, Build]" = {
    "GET /api/packages": past,
    "POST /api/packages": definition,
    "POST /api/packages/preview": lambda hand: {"json": chosen(hand)},
    "POST /api/packages/import": brought,
    "GET /api/packages/{package_id}": past,
    "PUT /api/packages/{package_id}": sent(description=None, status="archived"),
    "DELETE /api/packages/{package_id}": nothing,
    "GET /api/packages/{package_id}/data": table,
    "GET /api/packages/{package_id}/actions": past,
    "POST /api/packages/{package_id}/generate": generating,
    "POST /api/packages/{package_id}/deploy": deploying,
    "POST /api/packages/{package_id}/diff": lambda hand: {
        "json": {"environment": deploying(hand)["json"]["environment"]}
    },
    "POST /api/uploads": lambda hand: {"headers": {"upload-length": "1000"}},
    "HEAD /api/uploads/{upload_id}": nothing,
    "PATCH /api/uploads/{upload_id}": piece,
    "DELETE /api/uploads/{upload_id}": nothing,
    "POST /api/uploads/{upload_id}/import": lambda hand: {"json": {"environment": hand.mine.mark}},
    "GET /api/deployments": past,
    "GET /api/deployments/{deployment_id}": past,
    "POST /api/deployments/{deployment_id}/rollback": sent(reason=None),
    "GET /api/deployments/{deployment_id}/mappings": table,
    "GET /api/deployments/{deployment_id}/mappings/download": table,
    "GET /api/jobs": past,
    "GET /api/jobs/{job_id}": past,
    "POST /api/jobs/{job_id}/cancel": sent(reason=None),
    "POST /api/jobs/{job_id}/retry": nothing,
    "GET /api/jobs/{job_id}/logs": nothing,
    "GET /api/jobs/{job_id}/file": nothing,
}
