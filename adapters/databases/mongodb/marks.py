"""What Rollbook keeps in a target: which deployments were made, where each document went, what was there before.

`rollbook_deployments` has a marker for each: `writing` until everything is there, `done`, `undoing`, `undone`. What is
written without a transaction is noted in `rollbook_undo` before, so that whoever comes next finds what was interrupted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, IndexModel

from adapters.databases.mongodb.session import Session
from application.ports.databases import Order

DEPLOYMENTS, LINEAGE, UNDO = "rollbook_deployments", "rollbook_lineage", "rollbook_undo"
WRITING, DONE, UNDOING, UNDONE = "writing", "done", "undoing", "undone"
INDEXES: Mapping[str, Sequence[str]] = {
    LINEAGE: ("collection", "package", "source"),
    UNDO: ("deployment", "collection", "source"),
}


async def prepare(session: Session) -> None:
    """Makes what is missing."""
    for name, fields in INDEXES.items():
        model = IndexModel([(field, ASCENDING) for field in fields], unique=True, name="rollbook")
        await session.collection(name).create_indexes([model])
    await session.collection(DEPLOYMENTS).create_indexes([IndexModel([("package", ASCENDING), ("state", ASCENDING)])])


async def deployment(session: Session, deployment_id: str) -> Any:
    """The marker, None without one."""
    return await session.collection(DEPLOYMENTS).find_one({"_id": deployment_id}, session=session.within)


async def interrupted(session: Session, package: str) -> list[Any]:
    """The deployments of a package that were begun and did not come to an end."""
    return [one async for one in session.find(DEPLOYMENTS, {"package": package, "state": {"$in": [WRITING, UNDOING]}})]


async def begin(session: Session, order: Order, facts: Mapping[str, Any]) -> None:
    """Notes what is about to be written."""
    marker = {"_id": order.deployment_id, "package": order.package, "state": WRITING, **facts}
    await session.collection(DEPLOYMENTS).insert_one(marker, session=session.within)


async def turn(session: Session, deployment_id: str, state: str, **facts: Any) -> None:
    """The next state."""
    change = {"$set": {"state": state, **facts}}
    await session.collection(DEPLOYMENTS).update_one({"_id": deployment_id}, change, session=session.within)


async def forget(session: Session, deployment_id: str) -> None:
    """As if it had never begun."""
    await session.collection(DEPLOYMENTS).delete_one({"_id": deployment_id}, session=session.within)


async def lineage(session: Session, package: str, collection: str, keys: Sequence[str]) -> dict[str, Any]:
    """Where documents of a package went, by their keys in the source."""
    condition = {"package": package, "collection": collection, "source": {"$in": list(keys)}}
    return {one["source"]: one async for one in session.find(LINEAGE, condition)}


async def brought(session: Session, package: str, collection: str, keys: Sequence[str]) -> dict[str, Any]:
    """Ids of documents that were brought earlier: by this package, or by others that agree."""
    found: dict[str, list[Any]] = {}
    own: dict[str, Any] = {}
    condition = {"collection": collection, "source": {"$in": list(keys)}}
    async for one in session.find(LINEAGE, condition, "package", "source", "target"):
        if one["package"] == package:
            own[one["source"]] = one["target"]
        elif one["target"] not in found.setdefault(one["source"], []):
            found[one["source"]].append(one["target"])
    return {key: several[0] for key, several in found.items() if len(several) == 1} | own
