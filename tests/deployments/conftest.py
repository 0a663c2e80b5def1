"""A Rollbook at work between two databases of users': `source` and `staging`."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import pytest_asyncio

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.nats.job_queue import JetStreamJobs
from entrypoints.workers.dispatching import Dispatcher
from entrypoints.workers.working import Worker
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.databases.conftest import made
from tests.sharing import environments_of, own_organisation

SCHEMA = """
create table customers (id int generated always as identity primary key, name text unique, mail text);
create table orders (id int generated always as identity primary key, customer int not null references customers,
                     placed date, amount numeric(10, 2));
"""
ROWS = """
insert into customers (name, mail) values ('Ann', 'ann@example.com'), ('Bob', null), ('Cid', 'cid@example.com');
insert into orders (customer, placed, amount) values (1, '2025-03-01', 9.5), (1, '2025-03-02', 10), (3, null, 0.01);
"""
SALES = "select c.name, o.amount::text from orders o join customers c on c.id = o.customer order by 1, 2"
SOLD = [("Ann", "10.00"), ("Ann", "9.50"), ("Cid", "0.01")]


@dataclass
class Shop:
    """Two databases, and Rollbook between them, as acme uses it; each call fails on a status that was not expected."""

    rollbook: Running
    nats_url: str
    source: str
    staging: str
    organisation: str = "acme"
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, concurrency: int = 4) -> None:
        """Somebody is at work."""
        app = self.rollbook.app
        self.tasks.append(asyncio.create_task(Dispatcher(app, JetStreamJobs(self.nats_url), True).run(self.stop)))
        self.tasks.append(self.work(concurrency))

    def work(self, concurrency: int = 4) -> asyncio.Task[None]:
        """One worker."""
        app = self.rollbook.app
        worker = Worker(app, JetStreamJobs(self.nats_url), app.handlers, concurrency)
        return asyncio.create_task(worker.run(self.stop))

    async def end(self) -> None:
        """Nobody is at work any more."""
        self.stop.set()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 20)

    async def ask(self, method: str, path: str, expect: int = 200, **facts: Any) -> Any:
        """The body of the answer."""
        answered = await self.answer(method, path, expect, **facts)
        return answered.json()

    async def answer(self, method: str, path: str, expect: int = 200, **facts: Any) -> httpx2.Response:
        """The answer."""
        headers: dict[str, str] = {"X-Organisation": self.organisation, **facts.pop("headers", {})}
        answered = await self.rollbook.client.request(method, f"/api{path}", headers=headers, **facts)
        assert answered.status_code == expect, answered.text
        assert b"+00:00" not in answered.content, "Times are in UTC, with a Z"
        return answered

    async def pack(self, name: str = "shop-data", version: str = "1.0.0", *tables: str, **facts: Any) -> str:
        """Packs tables of the source; the package's id."""
        wanted = {"tables": list(tables or ("customers", "orders"))}
        body = {"name": name, "version": version, "package_type": "database", "environment": "source"}
        made = await self.ask("POST", "/packages", 201, json={**body, "filter": wanted, **facts})
        return str(made["package"]["id"])

    async def deploy(self, package: str, expect: int = 200, to: str = "staging", **facts: Any) -> Any:
        """Deploys while the caller waits; options beside other members of the body."""
        body: dict[str, Any] = {name: facts.pop(name) for name in ("run_as_background", "schedule_at") if name in facts}
        told = {"environment": to, "options": facts, **body}
        return await self.ask("POST", f"/packages/{package}/deploy", expect, json=told)

    async def roll_back(self, deployment: str, expect: int = 200, **facts: Any) -> Any:
        """Takes a deployment back."""
        return await self.ask("POST", f"/deployments/{deployment}/rollback", expect, json=facts)

    async def deployment(self, deployment: str, **query: Any) -> Any:
        """One deployment."""
        return (await self.ask("GET", f"/deployments/{deployment}", params=query))["deployment"]

    async def deployments(self, **query: Any) -> list[Any]:
        """Deployments, newest first."""
        listed: list[Any] = (await self.ask("GET", "/deployments", params=query))["deployments"]
        return listed

    async def actions(self, package: str) -> list[tuple[str, str]]:
        """What was done with a package and what came of it, newest first."""
        listed = (await self.ask("GET", f"/packages/{package}/actions"))["actions"]
        return [(one["actiontype"], one["actionstatus"]) for one in listed]

    async def job(self, job: str, *statuses: str) -> Any:
        """A job once it has one of these statuses."""
        async with asyncio.timeout(30):
            while (found := await self.ask("GET", f"/jobs/{job}"))["status"] not in statuses:
                await self.rollbook.app.log.wait_beyond(self.rollbook.app.log.seen)
        return found


def run(dsn: str, statements: str) -> None:
    """Runs statements in a database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements.encode())


def rows(dsn: str, query: str = SALES) -> list[Any]:
    """What a query answers there."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.fixture
def source(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with rows."""
    for dsn in made(postgres):
        run(dsn, SCHEMA + ROWS)
        yield dsn


@pytest.fixture
def staging(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The same tables, and rows of somebody else's."""
    for dsn in made(postgres):
        run(dsn, SCHEMA + "insert into customers (name) select 'old ' || n from generate_series(1, 7) n")
        yield dsn


@pytest.fixture
def shop(busy: Running, source: str, staging: str, tmp_path: Path) -> Iterator[Shop]:
    """Everything runs, for others too; this organisation is of this test's own."""
    found = Shop(busy, "", source, staging, own_organisation())
    with environments_of(busy.app, found.organisation, entries(source=source, staging=staging), tmp_path):
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def alone(
    database: Database, tmp_path: Path, nats_server: EmbeddedNats, source: str, staging: str
) -> AsyncIterator[Shop]:
    """Everything runs, for this test alone; the operator gave everybody the environments."""
    file = tmp_path / "environments.yaml"
    file.write_text(json.dumps(entries(source=source, staging=staging)))
    settings = settings_for(tmp_path, environments_file=file)
    async with running_rollbook(settings, database) as running:
        found = Shop(running, nats_server.url, source, staging)
        found.begin()
        yield found
        await found.end()


def entries(**environments: str) -> list[dict[str, str]]:
    """Environments as the operator's file says them; `away` never answers, `elsewhere` is of another kind."""
    found = [{"name": name, "kind": "postgresql", "dsn": dsn} for name, dsn in environments.items()]
    away = {"name": "away", "kind": "postgresql", "dsn": "postgresql://somebody:secret@127.0.0.1:1/shop"}
    return [*found, away, {"name": "elsewhere", "kind": "mysql", "dsn": "mysql://somebody:secret@127.0.0.1:1/shop"}]
