"""Databases that packages come from and go to."""

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from tests.conftest import AT_ONCE
from tests.databases.servers import (
    Postgres15,
    maria_other,
    maria_shop,
    mariadb,
    mongo,
    mongo_alone,
    mongo_other,
    mongo_shop,
    postgres_15,
)

__all__ = [
    "maria_other",
    "maria_shop",
    "mariadb",
    "mongo",
    "mongo_alone",
    "mongo_other",
    "mongo_shop",
    "postgres_15",
]
numbers = count()


@pytest.fixture
def shop(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of a user's, empty; its DSN."""
    yield from made(postgres)


@pytest.fixture
def other(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Another one."""
    yield from made(postgres)


def made(postgres: EmbeddedPostgres | Postgres15) -> Iterator[str]:
    """A database for a test."""
    name = f"shop_{next(numbers)}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} {AT_ONCE}".encode())
    yield make_conninfo(postgres.admin_url, dbname=name)
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)".encode())
