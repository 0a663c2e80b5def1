"""A read waits for what was recorded before it, and for nothing that comes later."""

import psycopg

from adapters.postgres.views import PostgresViews, Visibility
from application.deployments import schedule_deployment
from projections.registry import DEPLOYMENTS
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import SHOP, schedule
from tests.kernel.test_read_models import project


class Overtaken(Visibility):
    """While somebody waits, more is recorded, and the projector only comes as far as `reached`."""

    def __init__(self, kernel: Kernel, database: Database, reached: int) -> None:
        super().__init__()
        self.kernel, self.database, self.reached = kernel, database, reached

    async def wait_a_little(self) -> None:
        """Never lets the read model catch up."""
        await self.kernel.run(schedule_deployment, schedule(SHOP))
        async with await psycopg.AsyncConnection.connect(self.database.admin_url, autocommit=True) as admin:
            await admin.execute("update rollbook_views.checkpoints set position = %s", [self.reached])


async def test_a_read_does_not_wait_for_what_is_recorded_while_it_waits(kernel: Kernel, database: Database) -> None:
    await project(kernel, database.app_url, 1000)
    first = await kernel.run(schedule_deployment, schedule(SHOP))
    views = PostgresViews(kernel.pools, Overtaken(kernel, database, first.position))
    assert await views.visible("acme", DEPLOYMENTS) == first.position
