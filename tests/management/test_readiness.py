"""What /ready says of read models that are not there, or not kept, though the end of the log is no further."""

import asyncio
from pathlib import Path

import psycopg

from entrypoints.composition import build
from entrypoints.workers.condition import Condition
from projections.read_model import table
from projections.registry import DEPLOYMENTS
from tests.conftest import Database, settings_for


async def test_a_table_that_is_not_ours_to_keep_makes_it_not_ready_until_it_is_gone(
    database: Database, tmp_path: Path
) -> None:
    name = f"rollbook_views.{table(DEPLOYMENTS)}"
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(f"create table {name} (key text)".encode())
    rollbook = await build(settings_for(tmp_path, read_wait_ms=50), database.app_url)
    projector, stop = rollbook.projector(), asyncio.Event()
    running = asyncio.create_task(projector.run(stop))
    condition = Condition(rollbook, frozenset({"project"}), projector, None)
    async with asyncio.timeout(20):
        while "interrupted" not in (await condition.readiness())[0].get("projector", ""):
            await asyncio.sleep(0.01)
        with psycopg.connect(database.admin_url, autocommit=True) as admin:
            admin.execute(f"drop table {name}".encode())
        while (await condition.readiness())[0]:
            await asyncio.sleep(0.01)
        stop.set()
        await running
    await rollbook.close()


async def test_who_reads_is_not_ready_before_every_read_model_has_begun(database: Database, tmp_path: Path) -> None:
    rollbook = await build(settings_for(tmp_path), database.app_url)
    condition = Condition(rollbook, frozenset({"serve"}), None, None)
    assert (await condition.readiness())[0] == {"read_models": "not begun yet"}
    projector, stop = rollbook.projector(), asyncio.Event()
    running = asyncio.create_task(projector.run(stop))
    async with asyncio.timeout(20):
        while (await condition.readiness())[0]:
            await asyncio.sleep(0.01)
        await rollbook.views.select("acme", DEPLOYMENTS)
        stop.set()
        await running
    await rollbook.close()
