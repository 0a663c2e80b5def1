"""Whoever leads no longer writes nothing: the checkpoint is compared with what a batch rests on."""

from typing import Any

import psycopg
import pytest

from adapters.postgres.folding import Folding
from adapters.postgres.log import PostgresLog
from adapters.postgres.projector import CheckpointMoved, Projector
from application.deployments import schedule_deployment
from projections.read_model import table
from projections.registry import DEPLOYMENTS, LANES
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule
from tests.kernel.test_read_models import project, versions
from tests.kernel.test_retold import check

MODELS = (DEPLOYMENTS, LANES)


async def write_batch(kernel: Kernel, database: Database, before: int, epoch: int = 1) -> None:
    """The last commit of the log, by a leader that believes the checkpoints to be at `before`."""
    log = PostgresLog(kernel.pools, database.app_url)
    leader = Projector(kernel.pools, log, MODELS)
    leader.position, leader.epoch = before, epoch
    foldings = [Folding(model, table(model), before) for model in MODELS]
    async with kernel.pools.projector.connection() as connection:
        await leader.project(connection, foldings, await log.read_after(before, 1000))


def tables(database: Database) -> list[Any]:
    """Every version in both tables, and the checkpoints."""
    with psycopg.connect(database.admin_url) as admin:
        checkpoints = admin.execute("select * from rollbook_views.checkpoints order by 1").fetchall()
    return [*(versions(database, model) for model in MODELS), checkpoints]


@pytest.fixture
async def behind(kernel: Kernel, database: Database) -> int:
    """The position of read models that lack one commit."""
    for _ in range(3):
        await kernel.run(schedule_deployment, schedule())
    projected = await project(kernel, database.app_url, 100)
    await kernel.run(schedule_deployment, schedule())
    return await projected.log.head() - 2


async def test_who_leads_writes_the_batch_and_moves_the_checkpoint(
    kernel: Kernel, database: Database, behind: int
) -> None:
    await write_batch(kernel, database, behind)
    await project(kernel, database.app_url, 100)
    check(database.admin_url)


@pytest.mark.parametrize(
    "change",
    [
        "update rollbook_views.checkpoints set position = position + 2",
        "update rollbook_views.checkpoints set position = 0",
        "update rollbook_views.checkpoints set epoch = 2",
        "delete from rollbook_views.checkpoints where read_model like 'lanes%'",
        "update rollbook_views.checkpoints set position = 0 where read_model like 'lanes%'",
    ],
    ids=["another was faster", "rebuilt from the start", "restored", "dropped", "one of them rebuilt"],
)
async def test_a_leader_whose_checkpoint_moved_writes_nothing(
    kernel: Kernel, database: Database, behind: int, change: str
) -> None:
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(change.encode())
    before = tables(database)
    with pytest.raises(CheckpointMoved):
        await write_batch(kernel, database, behind)
    assert tables(database) == before


async def test_a_leader_of_another_epoch_writes_nothing(kernel: Kernel, database: Database, behind: int) -> None:
    before = tables(database)
    with pytest.raises(CheckpointMoved):
        await write_batch(kernel, database, behind, epoch=2)
    assert tables(database) == before
