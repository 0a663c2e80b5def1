"""Two releases keep their own tables beside each other; what is newer stops the older one and is never poison."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import psycopg
import pytest

from adapters.postgres import codec, projector
from adapters.postgres.log import PostgresLog
from adapters.postgres.projector import Projector
from application.deployments import UpdateDeployment, schedule_deployment, update_deployment
from domain.errors import Unavailable
from domain.status import Status
from projections.deployments import Deployments
from projections.read_model import table
from projections.registry import DEPLOYMENTS, FREEZES, LANES
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule

WAIT_SECONDS = 20


class NextDeployments(Deployments):
    """The deployments of the next release."""

    version: ClassVar[int] = DEPLOYMENTS.version + 1


NEXT = NextDeployments()
OLD, NEW = (DEPLOYMENTS, LANES), (NEXT, LANES)


class Following:
    """A projector that runs."""

    def __init__(self, projector: Projector, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
        self.projector = projector
        self.stop = stop
        self.task = task

    async def until(self, condition: Any) -> None:
        """Waits until this is so."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        """As SIGTERM does."""
        self.stop.set()
        await asyncio.wait_for(self.task, WAIT_SECONDS)


@asynccontextmanager
async def following(kernel: Kernel, url: str, models: Any) -> AsyncIterator[Following]:
    """A projector of a release that has these read models."""
    log, stop = PostgresLog(kernel.pools, url), asyncio.Event()
    running = Projector(kernel.pools, log, models)
    followed = Following(running, stop, asyncio.create_task(running.run(stop)))
    yield followed
    await followed.end()
    await log.close()


@contextmanager
def newer_release(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is appended here carries a schema version that this release does not know."""
    with monkeypatch.context() as patched:
        patched.setattr(codec, "schema_version", lambda event_class: 2)
        yield


def checkpoints(database: Database) -> dict[str, int]:
    """How far each table is."""
    with psycopg.connect(database.admin_url) as admin:
        return dict(admin.execute("select read_model, position from rollbook_views.checkpoints").fetchall())


def parked(database: Database) -> int:
    """How many streams are parked."""
    with psycopg.connect(database.admin_url) as admin:
        return len(admin.execute("select from rollbook_views.parked_streams").fetchall())


async def test_two_releases_keep_their_tables_side_by_side_and_share_what_is_the_same(
    kernel: Kernel, database: Database
) -> None:
    first = await kernel.run(schedule_deployment, schedule())
    async with following(kernel, database.app_url, OLD) as old:
        await old.until(lambda: old.projector.position >= first.position)
        async with following(kernel, database.app_url, NEW) as new:
            await new.until(lambda: new.projector.leading)
            second = await kernel.run(schedule_deployment, schedule())
            await new.until(lambda: set(checkpoints(database).values()) == {second.position})
            assert checkpoints(database).keys() == {table(DEPLOYMENTS), table(NEXT), table(LANES)}
            await old.end()
            third = await kernel.run(schedule_deployment, schedule())
            await new.until(lambda: checkpoints(database)[table(LANES)] == third.position)
            assert checkpoints(database) == {
                table(DEPLOYMENTS): second.position,
                table(NEXT): third.position,
                table(LANES): third.position,
            }


async def test_what_a_newer_release_wrote_stops_the_projector_in_front_of_it(
    kernel: Kernel, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await kernel.run(schedule_deployment, schedule())
    with newer_release(monkeypatch):
        await kernel.run(update_deployment, UpdateDeployment(done.resource, Status.DEPLOYED))
    async with following(kernel, database.app_url, (DEPLOYMENTS, FREEZES)) as old:
        await old.until(lambda: old.projector.problem)
        assert old.projector.problem == "newer than me: deployment.deployed version 2 is newer than 1"
        assert not old.projector.leading
    assert checkpoints(database) == {table(DEPLOYMENTS): done.position, table(FREEZES): done.position}
    assert parked(database) == 0


async def test_a_stopped_projector_lets_a_newer_one_lead_what_they_share(
    kernel: Kernel, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await kernel.run(schedule_deployment, schedule())
    async with following(kernel, database.app_url, (LANES,)) as old:
        with newer_release(monkeypatch):
            await kernel.run(update_deployment, UpdateDeployment(done.resource, Status.DEPLOYED))
        await old.until(lambda: old.projector.problem)
        monkeypatch.setattr(codec, "schema_version", lambda event_class: 2)
        monkeypatch.setattr(codec, "upcast", lambda topic, version, data: (object, data))
        codec.event_class_of.cache_clear()
        async with following(kernel, database.app_url, (LANES,)) as new:
            await new.until(lambda: new.projector.position > done.position)
    codec.event_class_of.cache_clear()


async def test_nothing_is_decided_on_what_a_newer_release_wrote(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await kernel.run(schedule_deployment, schedule())
    with newer_release(monkeypatch):
        await kernel.run(update_deployment, UpdateDeployment(done.resource, Status.DEPLOYED))
    kernel.executor.cache.known.clear()
    with pytest.raises(Unavailable, match=r"A newer release wrote this.*version 2 is newer than 1"):
        await kernel.run(update_deployment, UpdateDeployment(done.resource, Status.FAILED))


async def test_a_new_read_model_of_a_long_log_is_built_whole_before_it_is_followed(
    kernel: Kernel, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "BUILD_BEYOND", 2)
    done = await kernel.run(schedule_deployment, schedule())
    async with following(kernel, database.app_url, NEW) as new:
        await new.until(lambda: new.projector.position >= done.position)
        done = await kernel.run(update_deployment, UpdateDeployment(done.resource, Status.DEPLOYED))
        await new.until(lambda: new.projector.position >= done.position)
    with psycopg.connect(database.admin_url) as admin:
        query = f"select document::json ->> 'status' from rollbook_views.{table(NEXT)}"
        rows = admin.execute(query.encode()).fetchall()
    assert rows == [("scheduled",), ("deployed",)]


async def test_an_upcast_leaves_the_recorded_payload_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from domain.deployment import Deployment

    def add_reason(state: dict[str, Any]) -> None:
        state["changes"]["reason"] = None

    monkeypatch.setattr(Deployment.Annotated, "class_version", 2, raising=False)
    monkeypatch.setattr(Deployment.Annotated, "upcast_v1_v2", add_reason, raising=False)
    codec.schema_version.cache_clear()
    recorded = {"changes": {"notes": "n"}}
    assert codec.upcast("deployment.annotated", 1, recorded)[1] == {"changes": {"notes": "n", "reason": None}}
    assert recorded == {"changes": {"notes": "n"}}
    codec.schema_version.cache_clear()
