"""Stores that backups are taken of and put into."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from tests.backup.ground import Place
from tests.conftest import Database, Running, numbers

MakePlace = Callable[[], Place]


@contextmanager
def new_database(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """An empty, migrated database that goes with the test."""
    name = f"backup_{next(numbers)}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} owner rollbook_owner".encode())
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
