"""A release that knew no jobs goes on writing and projecting while its database gets what jobs and packages need."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres import migrations
from adapters.postgres.log import PostgresLog
from adapters.postgres.projector import Projector
from application.deployments import UpdateDeployment, schedule_deployment, update_deployment
from application.ports.event_store import CommandKey
from domain.status import Status
from projections.registry import DEPLOYMENTS, FREEZES, LANES, TOKENS
from tests.conftest import Database, running_rollbook, settings_for
from tests.kernel.acting import Acting
from tests.kernel.acts import OPENING
from tests.kernel.chain import check_order, stored, verify
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule
from tests.kernel.test_retold import check
from tests.upgrade.checks import rows

LAST_STEP = "006_row_security"
MODELS = (DEPLOYMENTS, LANES, FREEZES, TOKENS)
LATER_TABLES = "select count(*) from pg_tables where schemaname = 'rollbook' and tablename in ('job_runs', 'uploads')"


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A database with the schema of that release; its roles are those of the server, which the template brought."""
    name = "before_jobs"
    urls = {
        role: make_conninfo(postgres.url(role), dbname=name) for role in ("rollbook_owner", "rollbook_app", "postgres")
    }
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} owner rollbook_owner".encode())
        with pytest.MonkeyPatch.context() as patch:
            earlier = [step for step in migrations.steps() if step[0] <= LAST_STEP]
            patch.setattr(migrations, "steps", lambda: earlier)
            asyncio.run(migrations.migrate(urls["rollbook_owner"], "rollbook_app"))
        yield Database(name, urls["rollbook_owner"], urls["rollbook_app"], urls["postgres"])
        admin.execute(f"drop database {name} with (force)".encode())


class Older:
    """A writer and a projector as that release had them."""

    def __init__(self, kernel: Kernel, database: Database) -> None:
        self.kernel = kernel
        self.log = PostgresLog(kernel.pools, database.app_url)
        self.projector = Projector(kernel.pools, self.log, MODELS)
        self.stop, self.made = asyncio.Event(), 0
        self.tasks = [asyncio.create_task(work) for work in (self.write(), self.projector.run(self.stop))]

    async def write(self) -> None:
        """Schedules and deploys until told to stop; nothing may be refused."""
        while not self.stop.is_set():
            key = CommandKey(uuid4(), b"digest", 201)
            made = await self.kernel.run(schedule_deployment, schedule(), key)
            await self.kernel.run(update_deployment, UpdateDeployment(made.resource, Status.DEPLOYED))
            self.made += 1

    async def goes_on(self) -> None:
        """Returns when a few more were made, and are seen in its tables."""
        wanted, head = self.made + 5, await self.log.head()
        async with asyncio.timeout(60):
            while self.made < wanted or self.projector.position <= head:
                for task in self.tasks:
                    assert not task.done(), task.result()
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Whatever was begun is done."""
        self.stop.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 30)


@pytest.fixture
async def older(kernel: Kernel, database: Database) -> AsyncIterator[Older]:
    """At work."""
    release = Older(kernel, database)
    yield release
    await release.end()
    await release.log.close()


async def test_what_jobs_need_comes_while_an_older_release_works_and_all_of_both_is_whole(
    older: Older, database: Database, tmp_path: Path
) -> None:
    await older.goes_on()
    assert rows(database, LATER_TABLES) == [(0,)]
    await asyncio.wait_for(migrations.migrate(database.owner_url, "rollbook_app"), 60)
    assert rows(database, LATER_TABLES) == [(2,)]
    await older.goes_on()
    async with running_rollbook(settings_for(tmp_path), database) as running:
        await asyncio.gather(older.goes_on(), Acting(older.kernel).live_through(OPENING))
        await older.end()
        for path in ("/v1/deployments", "/api/jobs", "/api/packages", "/api/deployments"):
            for organisation in ("acme", "other"):
                answer = await running.client.get(path, headers={"X-Organisation": organisation})
                assert answer.status_code == 200, answer.text
    log = stored(database.admin_url)
    verify(log)
    check_order(log)
    assert [e["topic"] for e in log].count("deployment.deployed") == older.made
    check(database.admin_url)
