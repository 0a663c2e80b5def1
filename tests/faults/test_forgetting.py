"""Postgres dies just after a reader has seen that its rows are there: those that it forgets are waited for anew."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.embedded.postgres import APP
from adapters.postgres.migrations import migrate
from adapters.postgres.projector import Projector
from adapters.postgres.views import PostgresViews
from tests.conftest import Database, running_rollbook, settings_for
from tests.faults.ground import Ground
from tests.faults.load import body

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


class Death:
    """Kills the server once, between the wait and the read; until somebody has read, nothing is projected again."""

    def __init__(self, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ground = ground
        self.due = False
        self.read = asyncio.Event()
        self.read.set()
        for kind, name in ((PostgresViews, "visible"), (PostgresViews, "documents"), (Projector, "lead")):
            monkeypatch.setattr(kind, name, self.around(getattr(kind, name), getattr(self, name)))

    def around(self, real: Any, ours: Any) -> Any:
        """The method, with this."""

        async def both(*arguments: Any) -> Any:
            return await ours(real, *arguments)

        return both

    async def visible(self, real: Any, *arguments: Any) -> Any:
        """The rows were seen to be there."""
        found = await real(*arguments)
        if self.due:
            self.due = False
            self.read.clear()
            await self.ground.stop_postgres(signal.SIGQUIT)
            await self.ground.postgres.start()
        return found

    async def documents(self, real: Any, *arguments: Any) -> Any:
        """Somebody reads."""
        found = await real(*arguments)
        self.read.set()
        return found

    async def lead(self, real: Any, *arguments: Any) -> Any:
        """Somebody projects."""
        await self.read.wait()
        return await real(*arguments)


@pytest.fixture
async def database(ground: Ground) -> Database:
    """On a server that writes down what nobody waits for as late as it may."""
    server = ground.postgres
    async with await psycopg.AsyncConnection.connect(server.admin_url, autocommit=True) as admin:
        await admin.execute("alter system set wal_writer_delay = '10s'")
        await admin.execute("select pg_reload_conf()")
    await migrate(server.owner_url, APP)
    return Database("rollbook", server.owner_url, server.app_url, server.admin_url)


async def test_a_read_shows_what_was_acknowledged_though_the_server_dies_in_its_midst(
    ground: Ground, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    death = Death(ground, monkeypatch)
    async with running_rollbook(settings_for(tmp_path), database) as rollbook:
        for number in range(3):
            made = (await rollbook.client.post("/v1/deployments", json=body(number, "1"))).json()
            death.due = True
            listed = (await rollbook.client.get("/v1/deployments")).json()
            assert listed[0]["id"] == made["id"]
            assert not death.due
