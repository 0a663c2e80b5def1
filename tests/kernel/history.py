"""A kernel on a database of its own, for one example of a property."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import psycopg
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pools import Pools
from application.execution import Executor
from tests.kernel.conftest import Kernel

numbers = count(1)


@asynccontextmanager
async def fresh_kernel(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[tuple[Kernel, str]]:
    """The kernel and the address of its database, which ends with it."""
    name = f"example_{next(numbers)}"
    url = make_conninfo(postgres.app_url, dbname=name)
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} owner rollbook_owner".encode())
        pools = Pools.of(url, 4)
        await pools.open()
        store = PostgresEventStore(pools)
        try:
            yield Kernel(pools, store, Executor(store, lambda: datetime.now(UTC))), url
        finally:
            await store.close()
            await pools.close()
            admin.execute(f"drop database {name} with (force)".encode())
