"""Brings to an end what was interrupted: a deployment is undone, a rollback is finished."""

from dataclasses import replace

from adapters.databases.mongodb import marks
from adapters.databases.mongodb.indexing import drop_indexes
from adapters.databases.mongodb.leasing import Lease
from adapters.databases.mongodb.session import Session
from adapters.databases.mongodb.undoing import Undoing
from application.ports.databases import Outcome


async def recover(session: Session, package: str, lease: Lease) -> dict[str, Outcome]:
    """All of a package, by whoever holds its lease; answers the rollbacks that were finished."""
    session, finished = replace(session, within=None), {}
    await lease.keep(session)
    for marker in await marks.interrupted(session, package):
        is_rollback = marker["state"] == marks.UNDOING
        force = bool(is_rollback and marker.get("force"))
        outcome = await Undoing(session, marker, force, lease, lambda table, rows: None).run()
        await drop_indexes(session, marker["indexes"])
        if is_rollback:
            await marks.turn(session, marker["_id"], marks.UNDONE)
            finished[marker["_id"]] = outcome
        else:
            await marks.forget(session, marker["_id"])
    return finished
