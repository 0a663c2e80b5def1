"""Who takes over from a leader goes on where that one stopped, and keeps nobody waiting with many questions."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow

from adapters.postgres import tables
from adapters.postgres.leadership import Leadership
from application.deployments import UpdateDeployment, schedule_deployment, update_deployment
from domain.status import Status
from projections.read_model import table
from projections.registry import DEPLOYMENTS, LANES, READ_MODELS
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule
from tests.kernel.test_read_models import Poisoned, project

FEW_QUESTIONS = 6


class Counting(psycopg.AsyncConnection[TupleRow]):
    """A connection that counts what it is asked."""

    asked = 0

    async def execute(self, *arguments: Any, **facts: Any) -> psycopg.AsyncCursor[TupleRow]:
        """As ever."""
        self.asked += 1
        return await super().execute(*arguments, **facts)


@pytest.fixture
async def successor(database: Database) -> AsyncIterator[Counting]:
    """A projector's connection of another process."""
    async with await Counting.connect(database.app_url, autocommit=True) as connection:
        await connection.execute("set role rollbook_projector")
        await connection.execute("set search_path = rollbook, rollbook_views, pg_temp")
        connection.asked = 0
        yield connection


async def test_everything_that_a_leader_leaves_is_taken_up_at_once_where_it_stands(
    kernel: Kernel, database: Database, successor: Counting
) -> None:
    done = await kernel.run(schedule_deployment, schedule())
    await project(kernel, database.app_url, 100)
    leadership = Leadership(successor, READ_MODELS)
    assert not await leadership.new(leadership.wanted)
    await leadership.prepare(await leadership.won(leadership.wanted), 1)
    assert leadership.complete
    assert {folding.position for folding in leadership.foldings} == {done.position}
    assert successor.asked <= FEW_QUESTIONS


async def test_only_what_nobody_leads_is_won(kernel: Kernel, database: Database, successor: Counting) -> None:
    async with kernel.pools.projector.connection() as connection:
        leader = Leadership(connection, (LANES,))
        await leader.prepare(await leader.won((LANES,)), 1)
        challenger = Leadership(successor, (DEPLOYMENTS, LANES))
        assert await challenger.won(challenger.wanted) == [DEPLOYMENTS]
        await challenger.prepare([DEPLOYMENTS], 1)
        assert await challenger.won(challenger.wanted) == []
        await leader.resign()
        assert await challenger.won(challenger.wanted) == [LANES]


async def test_a_parked_stream_stays_parked_with_the_next_leader(
    kernel: Kernel, database: Database, successor: Counting
) -> None:
    model = Poisoned()
    bad = (await kernel.run(schedule_deployment, schedule())).resource
    await kernel.run(update_deployment, UpdateDeployment(bad, Status.FAILED))
    await project(kernel, database.app_url, 2, (model, LANES))
    leadership = Leadership(successor, (model, LANES))
    await leadership.prepare(await leadership.won(leadership.wanted), 1)
    assert [folding.parked for folding in leadership.foldings] == [{f"deployment-{bad}"}, set()]


async def test_an_index_that_another_release_did_not_need_is_made(
    kernel: Kernel, database: Database, successor: Counting
) -> None:
    await project(kernel, database.app_url, 100)
    with psycopg.connect(database.admin_url) as admin:
        suffix = next(iter(DEPLOYMENTS.indexes))
        admin.execute(f"drop index rollbook_views.{table(DEPLOYMENTS)}_{suffix}".encode())
    assert await tables.lacking(successor, READ_MODELS) == [DEPLOYMENTS]
    leadership = Leadership(successor, READ_MODELS)
    await leadership.prepare(await leadership.won(leadership.wanted), 1)
    assert await tables.lacking(successor, READ_MODELS) == []


async def test_what_was_kept_of_a_log_that_is_no_more_starts_over(
    kernel: Kernel, database: Database, successor: Counting
) -> None:
    done = await kernel.run(schedule_deployment, schedule())
    await project(kernel, database.app_url, 100, (DEPLOYMENTS, LANES))
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("update rollbook_views.checkpoints set epoch = 2 where read_model = %s", [table(LANES)])
    leadership = Leadership(successor, (DEPLOYMENTS, LANES))
    await leadership.prepare(await leadership.won(leadership.wanted), 2)
    assert [folding.position for folding in leadership.foldings] == [0, done.position]
    with psycopg.connect(database.admin_url) as admin:
        counts = [admin.execute(f"select from rollbook_views.{table(m)}".encode()).rowcount for m in leadership.models]
        epochs = admin.execute("select distinct epoch from rollbook_views.checkpoints").fetchall()
    assert (counts, epochs) == ([0, 1], [(2,)])
