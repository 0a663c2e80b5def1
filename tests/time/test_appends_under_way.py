"""A moment means the same position for ever, also while something is being recorded that has read the clock already."""

import asyncio
from typing import Any

import psycopg
import pytest

from adapters.postgres.job_runs import JobRuns
from adapters.postgres.references import References
from adapters.postgres.views import PostgresViews, Visibility
from application.deployments import schedule_deployment
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.conftest import kernel as kernel
from tests.kernel.test_append import schedule

WAIT = "select 1 from pg_locks where locktype = %s and not granted"


@pytest.fixture
def references(kernel: Kernel) -> References:
    """What references mean."""
    return References(PostgresViews(kernel.pools, Visibility()), JobRuns(kernel.pools).moment_at)


async def until_somebody_waits(admin: psycopg.AsyncConnection[Any], what: str, done: asyncio.Future[Any]) -> None:
    """Until somebody waits for that, or need not."""
    async with asyncio.timeout(10):
        while not done.done() and not (await admin.execute(WAIT, [what])).rowcount:
            await asyncio.sleep(0.01)


async def test_a_moment_means_what_was_recorded_by_then(
    kernel: Kernel, database: Database, references: References
) -> None:
    await kernel.run(schedule_deployment, schedule())
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        await admin.execute("lock table rollbook.events in share mode")
        recording = asyncio.create_task(kernel.run(schedule_deployment, schedule(version="2")))
        await until_somebody_waits(admin, "relation", recording)
        asking = asyncio.create_task(references.resolve("acme", "-0s"))
        await until_somebody_waits(admin, "advisory", asking)
        await admin.commit()
    first = await asking
    await recording
    assert first.moment is not None
    assert await references.resolve("acme", first.moment.isoformat()) == first


async def test_a_moment_of_before_waits_for_nobody(kernel: Kernel, database: Database, references: References) -> None:
    await kernel.run(schedule_deployment, schedule())
    moment = (await references.resolve("acme", "-0s")).moment
    await kernel.run(schedule_deployment, schedule(version="2"))
    assert moment is not None
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        await admin.execute("select pg_advisory_xact_lock(7240563)")
        found = await references.resolve("acme", moment.isoformat())
    assert found.position == 3


async def test_many_questions_wait_for_an_append_over_one_connection(
    kernel: Kernel, database: Database, references: References
) -> None:
    await kernel.run(schedule_deployment, schedule())
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        await admin.execute("select pg_advisory_xact_lock(7240563)")
        asking = asyncio.gather(*(references.resolve("acme", "-0s") for _ in range(10)))
        await until_somebody_waits(admin, "advisory", asking)
        assert (await references.resolve("acme", "3")).position == 3
        assert (await admin.execute(WAIT, ["advisory"])).rowcount == 1
        await admin.commit()
    assert {found.position for found in await asking} == {3}
