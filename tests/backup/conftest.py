"""Stores that backups are taken of and put into."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from tests.backup.ground import Place, fill
from tests.conftest import AT_ONCE, Database, Running, numbers, running_rollbook
from tests.queue.conftest import Queue

MakePlace = Callable[[], Place]


@contextmanager
def new_database(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """An empty, migrated database that goes with the test."""
    name = f"backup_{next(numbers)}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} owner rollbook_owner {AT_ONCE}".encode())
    roles = ("rollbook_owner", "rollbook_app", "postgres")
    try:
        yield Database(name, *(make_conninfo(postgres.url(role), dbname=name) for role in roles))
    finally:
        with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
            admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def home(database: Database, rollbook: Running, tmp_path: Path) -> Place:
    """The store of the Rollbook that runs."""
    return Place(database, tmp_path / "data")


@pytest.fixture
def elsewhere(postgres: EmbeddedPostgres, template: str, tmp_path: Path) -> Iterator[MakePlace]:
    """Makes empty stores on machines that know no key."""
    with ExitStack() as stack:

        def make() -> Place:
            database = stack.enter_context(new_database(postgres, template))
            return Place(database, tmp_path / database.name)

        yield make


@pytest.fixture(scope="session")
def taken(postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a few commits, with its key, which all tests share."""
    folder = tmp_path_factory.mktemp("taken")

    async def take() -> Path:
        with new_database(postgres, template) as database:
            place = Place(database, folder / "data")
            async with running_rollbook(place.settings(), database) as running:
                await fill(Queue(running.client), 4)
            return (await place.take(folder / "taken.zip", with_key=True)).path

    return asyncio.run(take())
