"""A Rollbook that delivers to receivers on this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest
import pytest_asyncio

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.webhooks.signing import signature
from domain.recorded import RecordedEvent
from entrypoints.workers.webhook_delivery import WebhookDelivery
from entrypoints.workers.webhook_following import WebhookFollowing
from tests.conftest import Database, Running, fresh_database, running_rollbook, settings_for
from tests.sharing import own_organisation
from tests.webhooks.receiver import Came, Receiver, receiving

LOOPBACK = (ip_network("127.0.0.0/8"),)
LANE = {"name": "shop", "provider": "gcp", "cloud_account_id": "account", "region": "eu"}


@dataclass
class Hooks:
    """Somebody who uses webhooks of one organisation."""

    rollbook: Running
    database: Database
    organisation: str
    start: int
    secrets: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str = "", expect: int = 200, **request: Any) -> Any:
        """What a route of webhooks answers."""
        headers = {"X-Organisation": self.organisation, **request.pop("headers", {})}
        answer = await self.rollbook.client.request(method, f"/v1/webhooks{path}", headers=headers, **request)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def add(self, url: str, expect: int = 201, **filters: list[str]) -> Any:
        """A webhook."""
        body = {"name": "hook", "url": url, "filters": filters}
        made = await self.ask("POST", expect=expect, json=body)
        if expect == 201:
            self.secrets[made["id"]] = made["secret"]
        return made

    async def deploy(self, expect: int = 201, **fields: Any) -> Any:
        """Something that happens: three events the first time in a lane, one later."""
        body = {**LANE, "version": "1", "environment": "production", "type": "k8s", **fields}
        headers = {"X-Organisation": self.organisation}
        answer = await self.rollbook.client.post("/v1/deployments", json=body, headers=headers)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def deliveries(self, webhook_id: str, **wanted: Any) -> list[dict[str, Any]]:
        """What has become of them, the newest event first."""
        found: list[dict[str, Any]] = await self.ask("GET", f"/{webhook_id}/deliveries", params=wanted)
        return found

    def run(self, query: str, *values: Any) -> list[Any]:
        """As an administrator of the database."""
        with psycopg.connect(self.database.admin_url, autocommit=True) as admin:
            cursor = admin.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def own(self, columns: str, table: str) -> list[Any]:
        """What stands in a table of webhooks of this organisation."""
        return self.run(f"select {columns} from rollbook.webhook_{table} where organisation = %s", self.organisation)

    async def recorded(self) -> list[RecordedEvent]:
        """What was recorded in this organisation since the test began."""
        found = await self.rollbook.app.log.read_after(self.start, 1000)
        return [event for event in found if event.organisation == self.organisation]

    def make_due(self) -> None:
        """As if the time of everything that waits had come."""
        self.run("update rollbook.webhook_deliveries set due_at = '-infinity' where state = 'waiting'")
        self.run("update rollbook.webhook_followers set rests_until = null, leased_until = null")

    def signed(self, webhook_id: str, came: Came, secret: str | None = None) -> bool:
        """Whether one of its signatures is that of the secret."""
        expected = signature(
            secret or self.secrets[webhook_id],
            came.headers["webhook-id"],
            int(came.headers["webhook-timestamp"]),
            came.body,
        )
        return expected in came.headers["webhook-signature"].split(" ")

    async def settle(self) -> None:
        """Follows the log to its end and delivers all that is due, once, without anybody in the background."""
        following, delivery = WebhookFollowing(self.rollbook.app), WebhookDelivery(self.rollbook.app)
        while await following.queue.advance() + await following.queue.catch_up():
            pass
        while taken := await delivery.deliveries.take():
            await delivery.serve(taken)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hooked(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Running, Database]]:
    """A Rollbook that may reach this machine; nobody follows or delivers by themselves."""
    folder = tmp_path_factory.mktemp("hooked")
    settings = settings_for(folder, webhook_allowed_networks=LOOPBACK, webhook_timeout_seconds=2)
    with fresh_database(postgres, template) as database:
        async with running_rollbook(settings, database) as running:
            yield running, database


@pytest_asyncio.fixture(loop_scope="session")
async def hooks(hooked: tuple[Running, Database]) -> AsyncIterator[Hooks]:
    """An organisation of this test's own, of whose webhooks nothing is left."""
    running, database = hooked
    one = Hooks(running, database, own_organisation(), await running.app.log.head())
    yield one
    one.run("delete from rollbook.webhook_followers")


@pytest_asyncio.fixture(loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@asynccontextmanager
async def working(hooks: Hooks) -> AsyncIterator[None]:
    """Meanwhile the log is followed and deliveries are made in the background."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(one(hooks.rollbook.app).run(stop)) for one in (WebhookFollowing, WebhookDelivery)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)


def delivery_of(webhook_id: str, came: Came) -> UUID:
    """The id of a delivery, as it must be."""

    return uuid5(UUID(webhook_id), came.told["id"])
