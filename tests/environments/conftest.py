"""A Rollbook whose organisations may name secrets, and databases of users' for them to name."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.environments import KnownEnvironment
from tests.conftest import Database, Running, fresh_database, running_rollbook, settings_for
from tests.databases.conftest import made
from tests.databases.servers import mariadb, postgres_15

__all__ = ["mariadb", "postgres_15"]
PASSWORD = "planted-password"
numbers = count(1)


@dataclass
class Environments:
    """Environments as an organisation uses them; each call fails on a status that was not expected."""

    rollbook: Running
    folder: Path
    organisation: str = "acme"
    neighbour: str = "globex"

    async def ask(self, method: str, path: str = "", expect: int = 200, **facts: Any) -> Any:
        """The body of the answer."""
        headers = {"X-Organisation": self.organisation, **facts.pop("headers", {})}
        answer = await self.rollbook.client.request(method, f"/api/environments{path}", headers=headers, **facts)
        assert answer.status_code == expect, answer.text
        assert PASSWORD not in answer.text
        assert "+00:00" not in answer.text, "Times are in UTC, with a Z"
        return answer.json()

    def keep(self, name: str, secret: str) -> str:
        """Puts a secret where the organisation may name it; its reference."""
        own = self.folder / self.organisation
        own.mkdir(exist_ok=True)
        (own / name).write_text(f"{secret}\n")
        return f"file:{name}"

    async def add(self, name: str = "staging", dsn: str = "file:staging", expect: int = 201, **facts: Any) -> Any:
        """Adds one."""
        body = {"name": name, "kind": "postgresql", "dsn": dsn, **facts}
        return await self.ask("POST", expect=expect, json=body)

    async def find(self, name: str = "staging") -> KnownEnvironment:
        """As workers find it."""
        return await self.rollbook.app.environments.find(self.organisation, name)

    async def names(self, **where: Any) -> list[str]:
        """Those that are listed."""
        return [one["name"] for one in (await self.ask("GET", params=where))["environments"]]

    def variable(self, name: str) -> str:
        """A reference to a variable of this organisation's."""
        return f"env:ROLLBOOK_ENV_{self.organisation.upper().replace('-', '_')}__{name}"

    @property
    def elsewhere(self) -> "Environments":
        """The same for another organisation."""
        return Environments(self.rollbook, self.folder, self.neighbour, self.organisation)


@pytest.fixture
def shop(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of a user's, with one table; the DSN of a superuser."""
    for dsn in made(postgres):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create table products (sku text primary key); insert into products values ('a')")
        yield dsn


@pytest.fixture
def owner(shop: str) -> Iterator[str]:
    """The DSN of who owns the table in the shop, and is no superuser."""
    yield from role(shop, "owner", "alter table products owner to {0}; grant create on schema public to {0}")


@pytest.fixture
def reader(shop: str) -> Iterator[str]:
    """The DSN of a role that can only read."""
    yield from role(shop, "reader", "grant select on products to {0}")


def role(shop: str, name: str, *grants: str) -> Iterator[str]:
    """A role of this test's own."""
    full = f"{name}_of_{psycopg.conninfo.conninfo_to_dict(shop)['dbname']}"
    with psycopg.connect(shop, autocommit=True) as admin:
        admin.execute(f"create role {full} login password '{PASSWORD}'".encode())
        for grant in grants:
            admin.execute(grant.format(full).encode())
    yield make_conninfo(shop, user=full, password=PASSWORD)
    with psycopg.connect(shop, autocommit=True) as admin:
        admin.execute(f"reassign owned by {full} to postgres; drop owned by {full}; drop role {full}".encode())


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Environments]:
    """One Rollbook, in which each test has organisations of its own."""
    folder = tmp_path_factory.mktemp("environments")
    (secrets := folder / "secrets").mkdir()
    with fresh_database(postgres, template) as database:
        async with running_rollbook(settings_for(folder, environment_secrets_dir=secrets), database) as running:
            yield Environments(running, secrets)


@pytest.fixture
def environments(shared: Environments) -> Environments:
    """No environment yet, and no file of the operator's."""
    number = next(numbers)
    return Environments(shared.rollbook, shared.folder, f"acme-{number}", f"globex-{number}")


@pytest_asyncio.fixture(loop_scope="session")
async def configured(database: Database, tmp_path: Path, owner: str) -> AsyncIterator[Environments]:
    """The operator gave everybody `staging`, and acme one of its own besides."""
    (tmp_path / "owner").write_text(owner)
    entries = [
        {"name": "staging", "kind": "postgresql", "dsn": "file:owner"},
        {"name": "production", "kind": "postgresql", "dsn": owner, "organisation": "ACME"},
    ]
    file = tmp_path / "environments.yaml"
    file.write_text(json.dumps(entries))
    async with running_rollbook(settings_for(tmp_path, environments_file=file), database) as running:
        yield Environments(running, tmp_path)
