"""The ground that everything is measured on: one Postgres that flushes, one NATS, a fresh database for each use."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import APP, OWNER, EmbeddedPostgres
from adapters.postgres.migrations import migrate
from tests.bench.seed import seed
from tests.conftest import open_folder

EMPTY = "rollbook_empty"


@dataclass(frozen=True)
class Database:
    """A database and who may do what in it."""

    name: str
    owner_url: str
    app_url: str
    admin_url: str


class Ground:
    """Starts the servers with the product's own settings; ends them, and deletes their data."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.postgres: EmbeddedPostgres
        self.broker: EmbeddedNats
        self.folder: Path
        self.histories: dict[tuple[int, int], Database] = {}

    async def __aenter__(self) -> Self:
        self.folder = Path(self.stack.enter_context(open_folder("bench")))
        self.postgres = await self.stack.enter_async_context(EmbeddedPostgres(self.folder))
        self.broker = await self.stack.enter_async_context(EmbeddedNats(self.folder))
        empty = await self.database(EMPTY)
        async with await psycopg.AsyncConnection.connect(empty.admin_url, autocommit=True) as admin:
            await admin.execute("create extension btree_gist")
        await migrate(empty.owner_url, APP)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()

    async def database(self, name: str, template: str = "template1") -> Database:
        """A new database, as empty as its template; its owner's is the role that peers work as."""
        statement = sql.SQL("create database {} template {} owner {}")
        names = (sql.Identifier(one) for one in (name, template, OWNER))
        async with await psycopg.AsyncConnection.connect(self.postgres.admin_url, autocommit=True) as admin:
            await admin.execute(statement.format(*names))
        urls = (make_conninfo(self.postgres.url(role), dbname=name) for role in (OWNER, APP, "postgres"))
        return Database(name, *urls)

    async def migrated(self, name: str) -> Database:
        """A new database with the product's schema."""
        return await self.database(name, EMPTY)

    async def history(self, events: int, lanes: int = 200) -> Database:
        """A database with a log of about so many events, made once; its read models are whoever's who needs them."""
        if (events, lanes) not in self.histories:
            database = await self.migrated(f"history_{events}_{lanes}")
            await asyncio.to_thread(seed, database.app_url, events, lanes)
            await self.settle(database)
            self.histories[events, lanes] = database
        return self.histories[events, lanes]

    async def drop(self, database: Database) -> None:
        """Deletes a database that is not needed any more."""
        statement = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database.name))
        async with await psycopg.AsyncConnection.connect(self.postgres.admin_url, autocommit=True) as admin:
            await admin.execute(statement)

    async def checkpoint(self) -> None:
        """Writes down at once what waits for it, so that the next measurement does not pay."""
        async with await psycopg.AsyncConnection.connect(self.postgres.admin_url, autocommit=True) as admin:
            await admin.execute("checkpoint")

    async def settle(self, database: Database | None = None) -> None:
        """Does at once what the servers would do in the next minutes, so that the next measurement does not pay."""
        url = database.admin_url if database else self.postgres.admin_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
            await admin.execute("vacuum analyze")
            await admin.execute("checkpoint")
