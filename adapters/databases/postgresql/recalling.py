"""What a target remembers of a deployment, asked once nobody is about to change that."""

from typing import Any

from psycopg import AsyncConnection

from adapters.databases.outcomes import read
from adapters.databases.postgresql import marks
from application.ports.databases import Recalled

FOUND = "select outcome, rolled_back_at from rollbook_packages.deployments where deployment_id = %s"


async def recall(connection: AsyncConnection[Any], package: str, deployment_id: str) -> Recalled | None:
    """None when it is not there. Whoever deploys the package, or takes it back, has ended when this answers."""
    await marks.take_over(connection, deployment_id)
    await connection.execute(marks.LOCK, [package])
    if (await marks.one(connection, marks.NO_MARKS, []))[0]:
        return None
    found = await marks.one(connection, FOUND, [deployment_id])
    if found is None or found[0] is None:
        return None
    return Recalled(read(found[0]), rolled_back=found[1] is not None)
