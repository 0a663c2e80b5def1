"""Followers of one process share what they read, and never more than the database would tell them."""

import asyncio
from dataclasses import replace

import psycopg

from adapters.postgres.log import PostgresLog
from adapters.postgres.projector import Projector
from application.deployments import schedule_deployment
from domain.recorded import RecordedEvent
from projections.registry import READ_MODELS
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule
from tests.kernel.test_retold import check


def positions(events: list[RecordedEvent]) -> list[int]:
    """Where events stand."""
    return [event.position for event in events]


async def test_what_was_just_read_is_told_again_in_whole_commits(kernel: Kernel, database: Database) -> None:
    for _ in range(4):
        await kernel.run(schedule_deployment, schedule())
    log = PostgresLog(kernel.pools, database.app_url)
    events = await log.fetch_after(0, 1000)
    for first in range(len(events)):
        for position in range(len(events) + 1):
            for limit in (1, 2, 3, 1000):
                log.tail.keep(first, events[first:])
                told = await log.read_after(position, limit)
                expected = await log.fetch_after(position, limit)
                assert positions(told) == positions(expected), (first, position, limit)


async def test_what_comes_behind_it_is_read_anew(kernel: Kernel, database: Database) -> None:
    await kernel.run(schedule_deployment, schedule())
    log = PostgresLog(kernel.pools, database.app_url)
    last = positions(await log.read_after(0, 1000))[-1]
    await kernel.run(schedule_deployment, schedule())
    assert positions(await log.read_after(last, 1000)) == [last + 1, last + 2]
    await log.close()


async def test_nothing_is_told_again_of_a_log_that_was_restored(kernel: Kernel, database: Database) -> None:
    await kernel.run(schedule_deployment, schedule())
    log = PostgresLog(kernel.pools, database.app_url)
    await log.identity()
    assert await log.read_after(0, 1000)
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("update rollbook.identity set epoch = epoch + 1")
    await log.identity()
    assert log.tail.beyond(0, 1000) == []


async def test_a_leader_begins_with_nothing_that_was_read_before(kernel: Kernel, database: Database) -> None:
    await kernel.run(schedule_deployment, schedule())
    log = PostgresLog(kernel.pools, database.app_url)
    events = await log.fetch_after(0, 1000)
    log.tail.keep(0, [replace(event, payload=b"{}") for event in events])
    stop = asyncio.Event()
    projector = Projector(kernel.pools, log, READ_MODELS)

    def note(position: int) -> None:
        if position == len(events):
            stop.set()

    projector.on_progress.append(note)
    async with asyncio.timeout(30):
        await projector.run(stop)
    await log.close()
    check(database.admin_url)
