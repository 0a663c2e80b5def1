"""What a process remembers may be stale: the append finds out, and the command is decided again on what is so."""

from datetime import UTC, datetime

import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from application.claims import ClaimDeployment, claim_deployment
from application.deployments import UpdateDeployment, schedule_deployment, update_deployment
from application.execution import Executor
from application.freezes import DeclareFreeze, LiftFreeze, declare_freeze, lift_freeze
from domain.errors import Frozen, NotFound
from domain.freezes import Scope
from domain.status import Status
from tests.conftest import Database
from tests.kernel.chain import stored
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import SHOP, schedule

CLAIM = ClaimDeployment((SHOP,), "runner", 60)
FREEZE = DeclareFreeze(Scope(name="shop"), "sale")


@pytest.fixture
def elsewhere(kernel: Kernel) -> Kernel:
    """Another process, as far as memory goes."""
    store = PostgresEventStore(kernel.pools)
    return Kernel(kernel.pools, store, Executor(store, lambda: datetime.now(UTC)))


async def test_a_claim_that_read_the_world_before_a_freeze_fails(
    kernel: Kernel, elsewhere: Kernel, database: Database
) -> None:
    first = await kernel.run(schedule_deployment, schedule())
    assert (await kernel.run(claim_deployment, CLAIM)).resource == first.resource
    await kernel.run(update_deployment, UpdateDeployment(first.resource, Status.DEPLOYED))
    await kernel.run(schedule_deployment, schedule(version="2"))
    await elsewhere.run(declare_freeze, FREEZE)
    before = stored(database.admin_url)
    with pytest.raises(Frozen):
        await kernel.run(claim_deployment, CLAIM)
    assert stored(database.admin_url) == before


async def test_a_refusal_that_rests_on_what_was_so_is_decided_again(kernel: Kernel, elsewhere: Kernel) -> None:
    made = await kernel.run(schedule_deployment, schedule())
    freeze = await kernel.run(declare_freeze, FREEZE)
    with pytest.raises(Frozen):
        await kernel.run(claim_deployment, CLAIM)
    await kernel.run(claim_deployment, ClaimDeployment((SHOP,), "runner", 60, override="urgent"))
    await elsewhere.run(update_deployment, UpdateDeployment(made.resource, Status.SCHEDULED))
    await elsewhere.run(lift_freeze, LiftFreeze(freeze.resource))
    assert (await kernel.run(claim_deployment, CLAIM)).resource == made.resource


async def test_what_one_process_deployed_another_does_not_skip(
    kernel: Kernel, elsewhere: Kernel, database: Database
) -> None:
    ids = [(await kernel.run(schedule_deployment, schedule(version=str(n)))).resource for n in range(3)]
    await elsewhere.run(update_deployment, UpdateDeployment(ids[0], Status.DEPLOYED))
    await kernel.run(update_deployment, UpdateDeployment(ids[2], Status.DEPLOYED))
    skipped = [e["stream_id"] for e in stored(database.admin_url) if e["topic"] == "deployment.skipped"]
    assert skipped == [f"deployment-{ids[1]}"]


@pytest.mark.parametrize("wrong", ["not-an-id", "00000000-0000-4000-8000-000000000000"])
async def test_what_is_nowhere_is_looked_for_each_time(kernel: Kernel, wrong: str) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            await kernel.run(update_deployment, UpdateDeployment(wrong, Status.FAILED))


async def test_nothing_to_do_as_far_as_is_remembered_is_looked_at_again(
    kernel: Kernel, elsewhere: Kernel, database: Database
) -> None:
    made = await kernel.run(schedule_deployment, schedule())
    await kernel.run(claim_deployment, CLAIM)
    assert (await kernel.run(claim_deployment, CLAIM)).resource == ""
    await elsewhere.run(update_deployment, UpdateDeployment(made.resource, Status.FAILED))
    waiting = await elsewhere.run(schedule_deployment, schedule(version="2"))
    assert (await kernel.run(claim_deployment, CLAIM)).resource == waiting.resource
    reported = await kernel.run(update_deployment, UpdateDeployment(made.resource, Status.IN_PROGRESS))
    assert stored(database.admin_url)[-1]["commit_position"] == reported.position


async def test_a_freeze_that_somebody_else_has_lifted_holds_nobody(kernel: Kernel, elsewhere: Kernel) -> None:
    freeze = await kernel.run(declare_freeze, FREEZE)
    first = await kernel.run(schedule_deployment, schedule())
    await kernel.run(claim_deployment, ClaimDeployment((SHOP,), "runner", 60, override="urgent"))
    await kernel.run(update_deployment, UpdateDeployment(first.resource, Status.DEPLOYED))
    second = await kernel.run(schedule_deployment, schedule(version="2"))
    await elsewhere.run(lift_freeze, LiftFreeze(freeze.resource))
    assert (await kernel.run(claim_deployment, CLAIM)).resource == second.resource


async def test_connections_that_are_cut_lose_nothing_and_double_nothing(kernel: Kernel, database: Database) -> None:
    cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> %s"
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        for _ in range(4):
            admin.execute(cut, [admin.info.backend_pid])
            await kernel.run(schedule_deployment, schedule())
    scheduled = [e for e in stored(database.admin_url) if e["topic"] == "deployment.scheduled"]
    assert len(scheduled) == 4
