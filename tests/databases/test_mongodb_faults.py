"""Deployments into MongoDB that are killed, called off or cut off on their way: never half, never twice."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.databases.mongodb.target import MongoTarget
from adapters.failpoints import VARIABLE
from application.ports.databases import Lines
from domain.errors import Unavailable
from tests.databases.test_mongodb_deploying import (
    ALL,
    PackedDocuments,
    deploy,
    documents,
    everything,
    graph,
    pack,
    roll_back,
)
from tests.databases.test_mongodb_reading import SHOP, fill

BEFORE: dict[str, list[dict[str, Any]]] = {"notes": [{"_id": "a", "n": 9, "mine": 1}, {"_id": "z"}]}
ROOT = Path(__file__).parents[2]
OURS = ("rollbook_undo", "rollbook_lineage", "rollbook_deployments", "rollbook_leases")


@pytest.fixture
async def package(mongo_shop: str, mongo_other: str) -> PackedDocuments:
    """Everything that a shop has, and something in the target."""
    fill(mongo_shop, SHOP)
    fill(mongo_other, BEFORE)
    return await pack(mongo_shop, *ALL)


async def process(source: str, dsn: str, action: str, failpoint: str = "") -> int:
    """Runs a process of its own; answers how it ended."""
    command = (sys.executable, "-m", "tests.databases.mongodb_process", source, dsn, action)
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={**os.environ, VARIABLE: failpoint})
    try:
        return await asyncio.wait_for(child.wait(), 60)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.faults
@pytest.mark.parametrize(
    "place", ["after_undo_notes:1", "after_undo_notes:6", "after_documents:3", "after_documents:9"]
)
async def test_a_deployment_that_was_killed_is_undone_and_then_made_once(
    mongo_shop: str, mongo_other: str, package: PackedDocuments, place: str
) -> None:
    assert await process(mongo_shop, mongo_other, "deploy", place) == -signal.SIGKILL
    assert await process(mongo_shop, mongo_other, "deploy") == 0
    assert graph(mongo_other) == graph(mongo_shop)
    assert len(documents(mongo_other, "customers")) == 3
    await roll_back(MongoTarget(mongo_other))
    assert everything(mongo_other) == BEFORE


@pytest.mark.faults
async def test_whoever_comes_next_undoes_what_was_interrupted(
    mongo_shop: str, mongo_other: str, package: PackedDocuments
) -> None:
    assert await process(mongo_shop, mongo_other, "deploy", "after_documents:9") == -signal.SIGKILL
    target = MongoTarget(mongo_other, lease_seconds=1)
    assert await target.recall("shop", "1") is None
    assert everything(mongo_other) == BEFORE
    assert [len(documents(mongo_other, name)) for name in OURS] == [0, 0, 0, 0]


@pytest.mark.faults
@pytest.mark.parametrize("place", ["after_taking_back:1", "after_taking_back:3"])
async def test_a_rollback_that_was_killed_is_finished(
    mongo_shop: str, mongo_other: str, package: PackedDocuments, place: str
) -> None:
    assert await process(mongo_shop, mongo_other, "deploy") == 0
    assert await process(mongo_shop, mongo_other, "roll_back", place) == -signal.SIGKILL
    outcome = await roll_back(MongoTarget(mongo_other, lease_seconds=1))
    assert (outcome.tables["customers"].new, outcome.tables["notes"].changed) == (3, 1)
    assert everything(mongo_other) == BEFORE


class Stopping(PackedDocuments):
    """A package that stops in the middle when it is read for the third time, which is when it is written."""

    readings = 0

    async def rows(self, table: str) -> AsyncIterator[Lines]:
        """The documents, and then nothing more, ever."""
        self.readings += table == "products"
        async for lines in super().rows(table):
            for line in lines:
                yield [line]
        if self.readings > 2:
            self.reached.set()
            await asyncio.Event().wait()

    reached: asyncio.Event


@pytest.mark.parametrize("most", [0, 5000])
async def test_a_deployment_that_is_called_off_leaves_nothing(
    mongo_other: str, package: PackedDocuments, most: int
) -> None:
    stopping = Stopping(package.tables, package.lines, {}, package.collections, package.references)
    stopping.reached = asyncio.Event()
    target = MongoTarget(mongo_other, most_in_transaction=most)
    work = asyncio.create_task(deploy(target, stopping, batch_size=1, update_existing=True))
    await asyncio.wait_for(stopping.reached.wait(), 10)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert everything(mongo_other) == BEFORE
    assert [len(documents(mongo_other, name)) for name in OURS] == [0, 0, 0, 0]


async def test_of_two_deployments_of_a_package_one_waits(mongo_other: str, package: PackedDocuments) -> None:
    target = MongoTarget(mongo_other, lease_seconds=4)
    both = await asyncio.gather(deploy(target, package, "1"), deploy(target, package, "2"))
    assert sorted(one.tables["customers"].new for one in both) == [0, 3]
    assert len(documents(mongo_other, "customers")) == 3


async def test_whoever_waits_too_long_for_another_says_so(mongo_other: str, package: PackedDocuments) -> None:
    stopping = Stopping(package.tables, package.lines, {}, package.collections, package.references)
    stopping.reached = asyncio.Event()
    target = MongoTarget(mongo_other, lease_seconds=1)
    work = asyncio.create_task(deploy(target, stopping, batch_size=1))
    await asyncio.wait_for(stopping.reached.wait(), 10)
    with pytest.raises(Unavailable, match="being made"):
        await deploy(target, package, "2")
    work.cancel()
    await asyncio.wait([work])
