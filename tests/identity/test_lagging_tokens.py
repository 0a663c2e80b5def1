"""Rollbook's own tokens while the read model that they are found in is behind the log."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pools import Pools
from adapters.postgres.token_directory import PostgresTokenDirectory
from application.execution import Executor
from application.ports.event_store import Circumstances
from application.tokens import RevokeToken, revoke_token
from domain.errors import Unavailable
from projections.registry import TOKENS
from tests.conftest import Database, running_rollbook, settings_for
from tests.kernel.conftest import SOMEBODY
from tests.queue.conftest import Queue


async def issued(database: Database, folder: Path) -> Any:
    """A token that a Rollbook issued and read back, whose projector has ended."""
    async with running_rollbook(settings_for(folder), database) as running:
        queue = Queue(running.client)
        token = await queue.ask("POST", "/v1/tokens", 201, json={"name": "ci", "role": "viewer"})
        assert [one["id"] for one in await queue.ask("GET", "/v1/tokens")] == [token["id"]]
        return token


async def test_a_revoked_token_lets_nobody_in_before_the_read_model_knows(database: Database, tmp_path: Path) -> None:
    token = await issued(database, tmp_path)
    digest = hashlib.sha256(token["token"].encode()).digest()
    pools = Pools.of(database.app_url, 2)
    await pools.open()
    store = PostgresEventStore(pools)
    try:
        directory = PostgresTokenDirectory(pools, wait_ms=0)
        found = await directory.find(digest)
        assert found is not None and str(found.token_id) == token["id"]
        circumstances = Circumstances(SOMEBODY, {}, datetime.now(UTC), "0" * 32)
        executor = Executor(store, lambda: datetime.now(UTC))
        await executor.execute("acme", circumstances, revoke_token, RevokeToken(token["id"]))
        with pytest.raises(Unavailable, match="read model has not caught up"):
            await directory.find(digest)
        async with running_rollbook(settings_for(tmp_path), database) as running:
            await running.app.views.visible("acme", TOKENS)
            assert await directory.find(digest) is None
    finally:
        await store.close()
        await pools.close()
