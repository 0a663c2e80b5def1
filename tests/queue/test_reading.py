"""Who reads may take what is visible already, and is told when rows are not what they should be."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from domain.recorded import RecordedEvent
from projections.deployments import Deployments
from projections.read_model import Row
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.queue.conftest import ACME, Queue

IMPATIENT = {**ACME, "X-Rollbook-Allow-Stale": "1"}


@pytest.fixture
async def hasty(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Rollbook whose readers wait for a tenth of a second only."""
    async with running_rollbook(settings_for(tmp_path, read_wait_ms=100), database) as running:
        yield running


@asynccontextmanager
async def nothing_projected(database: Database) -> AsyncIterator[None]:
    """Holds up the projector, which cannot move its checkpoint."""
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        await admin.execute("lock table rollbook_views.checkpoints in exclusive mode")
        yield


async def caught_up(hasty: Running) -> httpx2.Response:
    """The list, as soon as the projector has had the time that it needs."""
    async with asyncio.timeout(60):
        while (answer := await hasty.client.get("/v1/deployments", headers=ACME)).status_code == 503:
            pass
    return answer


async def test_who_allows_it_gets_the_older_answer_and_is_told_of_when(hasty: Running, database: Database) -> None:
    queue = Queue(hasty.client)
    first = await queue.create("1")
    fresh = await caught_up(hasty)
    async with nothing_projected(database):
        await queue.create("2")
        for path in (
            "/v1/deployments",
            "/v1/lanes",
            "/v1/lanes/current",
            "/v1/freezes",
            f"/v1/deployments/{first['id']}",
        ):
            assert (await hasty.client.get(path, headers=ACME)).status_code == 503, path
            late = await hasty.client.get(path, headers=IMPATIENT)
            assert late.status_code == 200, path
            assert late.headers["x-rollbook-as-of"] == fresh.headers["x-rollbook-position"], path
        older = await hasty.client.get("/v1/deployments", headers=IMPATIENT)
    assert [row["version"] for row in older.json()] == ["1"]
    assert "x-rollbook-as-of" not in fresh.headers
    assert [row["version"] for row in (await caught_up(hasty)).json()] == ["2", "1"]


def stumbling(fold: Any) -> Any:
    """A fold with a fault: it cannot bear what failed."""

    def folded(self: Deployments, row: Row | None, event: RecordedEvent, data: Mapping[str, Any]) -> Row | None:
        if event.topic == "deployment.failed":
            raise KeyError("oops")
        folded_row: Row | None = fold(self, row, event, data)
        return folded_row

    return folded


async def test_rows_that_a_fault_holds_back_are_marked(rollbook: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(rollbook.client)
    bad, good = await queue.create("1"), await queue.create("2")
    before = (await queue.client.get("/v1/deployments", headers=ACME)).headers["x-rollbook-position"]
    monkeypatch.setattr(Deployments, "fold", stumbling(Deployments.fold))
    await asyncio.gather(*(queue.report(one, "failed" if one is bad else "deployed") for one in (bad, good)))
    listed = await queue.client.get("/v1/deployments", headers=ACME)
    assert listed.headers["x-rollbook-stale"] == "1"
    stale = {row["id"]: row.get("stale_since") for row in listed.json()}
    assert stale[good["id"]] is None
    assert stale[bad["id"]] > int(before)
    past = await queue.client.get(f"/v1/deployments?as_of={before}", headers=ACME)
    assert "x-rollbook-stale" not in past.headers
