"""Steps of the schema are applied while an older release works."""

import asyncio

import psycopg
import pytest

from adapters.postgres import migrations
from adapters.postgres.migrations import migrate
from application.deployments import schedule_deployment
from domain.errors import Unavailable
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule

STEP = ("900_channels", "alter table rollbook.commands add column channel text")
HAS_COLUMN = "select 1 from information_schema.columns where table_name = 'commands' and column_name = 'channel'"


@pytest.fixture(autouse=True)
def next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release with one more step, whose table is in use."""
    monkeypatch.setattr(migrations, "steps", lambda: [STEP])
    monkeypatch.setattr(migrations, "LOCK_PAUSE_SECONDS", 0.05)


async def test_a_step_that_waits_for_a_long_transaction_holds_nobody_up(kernel: Kernel, database: Database) -> None:
    async with await psycopg.AsyncConnection.connect(database.admin_url) as holder:
        await holder.execute("select count(*) from rollbook.commands")
        migrating = asyncio.create_task(migrate(database.owner_url, "rollbook_app"))
        async with asyncio.timeout(60):
            while not await waits(holder):
                await asyncio.sleep(0.01)
            await asyncio.gather(*(kernel.run(schedule_deployment, schedule()) for _ in range(3)))
        assert not migrating.done()
        await holder.rollback()
        await asyncio.wait_for(migrating, 60)
        assert await (await holder.execute(HAS_COLUMN)).fetchone() == (1,)


async def waits(connection: psycopg.AsyncConnection) -> bool:
    """Whether somebody waits for the lock of a table."""
    query = "select 1 from pg_locks where not granted and relation = 'rollbook.commands'::regclass"
    return await (await connection.execute(query)).fetchone() is not None


async def test_a_step_that_never_gets_its_lock_gives_up_and_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TRIES", 2)
    async with await psycopg.AsyncConnection.connect(database.admin_url) as holder:
        await holder.execute("select count(*) from rollbook.commands")
        with pytest.raises(Unavailable, match="900_channels"):
            await migrate(database.owner_url, "rollbook_app")
        assert await (await holder.execute(HAS_COLUMN)).fetchone() is None
