"""A process that deploys into MongoDB, or takes back, and may be told to die on its way."""

import asyncio
import sys

from adapters.databases.mongodb.target import MongoTarget
from tests.databases.test_mongodb_deploying import ALL, deploy, pack, roll_back


async def main(source: str, dsn: str, action: str) -> None:
    """Does it, in several batches and without a transaction."""
    target = MongoTarget(dsn, most_in_transaction=0, lease_seconds=1)
    if action == "deploy":
        await deploy(target, await pack(source, *ALL), batch_size=1, update_existing=True)
    else:
        await roll_back(target)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
