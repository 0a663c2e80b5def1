"""The kernel on a database of the test's own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pools import Pools
from application.execution import Executor
from application.ports.event_store import Actor, Appended, Circumstances, CommandKey
from tests.conftest import Database

SOMEBODY = Actor(UUID(int=1), "c2VhbGVk")


@dataclass
class Kernel:
    """Executes commands for one organisation."""

    pools: Pools
    store: PostgresEventStore
    executor: Executor

    async def run(
        self, handler: Any, command: Any, key: CommandKey | None = None, organisation: str = "acme"
    ) -> Appended:
        """One command by somebody."""
        circumstances = Circumstances(SOMEBODY, {}, datetime.now(UTC), "0" * 32)
        return await self.executor.execute(organisation, circumstances, handler, command, key)


@pytest.fixture
async def kernel(database: Database) -> AsyncIterator[Kernel]:
    """A fresh store."""
    pools = Pools.of(database.app_url, 4)
    await pools.open()
    store = PostgresEventStore(pools)
    yield Kernel(pools, store, Executor(store, lambda: datetime.now(UTC)))
    await store.close()
    await pools.close()
