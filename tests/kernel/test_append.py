"""The log takes commits whole or not at all, and gives back what it took."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from adapters.postgres.appender import Waiting, event_rows
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from application.ports.event_store import Circumstances, CommandKey, Commit, Conflict
from domain.errors import KeyReused, NotFound, TooLarge
from domain.lane import Lane
from domain.release import Release
from domain.status import Status
from domain.taxonomy import Taxonomy
from tests.conftest import Database
from tests.kernel.client import everything
from tests.kernel.conftest import SOMEBODY, Kernel
from tests.scenario import state

SHOP = Taxonomy("shop", "gcp")


def schedule(taxonomy: Taxonomy = SHOP, version: str = "1", notes: str | None = None) -> ScheduleDeployment:
    """A command that queues something."""
    return ScheduleDeployment(taxonomy, Release(version, "production", "k8s"), True, "repo", "workflow", notes)


def commit_of(lane: Lane, **facts: object) -> Commit:
    """A commit with a lane's new events."""
    circumstances = Circumstances(SOMEBODY, {}, datetime.now(UTC), "0" * 32)
    commit = Commit("acme", circumstances, {f"lane-{lane.id}": list(lane.collect_events())})
    for name, value in facts.items():
        setattr(commit, name, value)
    return commit


def lane(name: str = "shop") -> Lane:
    """A lane that is not recorded yet."""
    return Lane.open("acme", Taxonomy(name, "gcp"), datetime.now(UTC))


@pytest.mark.parametrize(
    "refused",
    [{}, {"guards": {"freezes-unknown": 1}}, {"taken": {"free": "a", "name": "a"}}, {"guards": {"lane-unknown": 7}}],
    ids=["a stream that moved", "a guard that moved", "a key that is taken", "a guard that is not there yet"],
)
async def test_a_conflict_appends_nothing(kernel: Kernel, database: Database, refused: dict[str, Any]) -> None:
    await kernel.store.append(commit_of(lane(), taken={"name": "shop"}))
    before = everything(database.admin_url)
    with pytest.raises(Conflict):
        await kernel.store.append(commit_of(lane("other" if refused else "shop"), **refused))
    assert everything(database.admin_url) == before
    await kernel.store.append(commit_of(lane("other"), released={"name"}))
    await kernel.store.append(commit_of(lane("third"), taken={"name": "third"}))


async def test_the_same_events_again_are_answered_as_done(kernel: Kernel) -> None:
    commit = commit_of(lane())
    group = [Waiting(commit, event_rows(commit), asyncio.get_running_loop().create_future())]
    ((first, position, *_),) = await kernel.store.appender.call(group)
    ((again, same, *_),) = await kernel.store.appender.call(group)
    assert (first, again) == ("appended", "repeated")
    assert position == same


async def test_a_command_that_comes_again_returns_its_first_outcome(kernel: Kernel) -> None:
    key = CommandKey(uuid4(), b"digest", 201)
    first = await kernel.run(schedule_deployment, schedule(), key)
    again = await kernel.run(schedule_deployment, schedule(), key)
    assert (again.repeated, again.resource, again.position, again.status) == (True, first.resource, first.position, 201)
    with pytest.raises(KeyReused):
        await kernel.run(schedule_deployment, schedule(), CommandKey(key.command_id, b"other", 201))


async def test_twins_under_one_key_happen_once(kernel: Kernel) -> None:
    key = CommandKey(uuid4(), b"digest", 201)
    outcomes = await asyncio.gather(*(kernel.run(schedule_deployment, schedule(), key) for _ in range(10)))
    assert len({o.resource for o in outcomes}) == 1


async def test_an_event_beyond_the_limit_is_refused_before_the_append(kernel: Kernel) -> None:
    with pytest.raises(TooLarge):
        await kernel.run(schedule_deployment, schedule(notes="x" * 300_000))
    await kernel.run(schedule_deployment, schedule())


async def test_another_organisation_sees_nothing(kernel: Kernel) -> None:
    done = await kernel.run(schedule_deployment, schedule())
    with pytest.raises(NotFound):
        await kernel.run(update_deployment, UpdateDeployment(done.resource, Status.FAILED), organisation="other")
    async with kernel.pools.reading("other") as connection:
        row = await (await connection.execute("select count(*) from rollbook.events")).fetchone()
    assert row == (0,)


async def a_busy_lane(kernel: Kernel) -> str:
    """The stream of a lane in which much has happened."""
    ids = [(await kernel.run(schedule_deployment, schedule(version=str(n)))).resource for n in range(20)]
    for one in ids[::3]:
        await kernel.run(update_deployment, UpdateDeployment(one, Status.DEPLOYED))
    return f"lane-{SHOP.lane_id('acme')}"


async def test_a_snapshot_gives_the_same_lane_as_its_events(kernel: Kernel) -> None:
    stream = await a_busy_lane(kernel)
    whole = (await kernel.store.load("acme", [stream]))[stream]
    await kernel.store.keep_snapshot("acme", stream, whole)
    assert state((await kernel.store.load("acme", [stream]))[stream]) == state(whole)


async def test_a_lane_is_made_of_its_snapshot_and_of_what_came_after(kernel: Kernel, database: Database) -> None:
    stream = await a_busy_lane(kernel)
    before = (await kernel.store.load("acme", [stream]))[stream]
    await kernel.store.keep_snapshot("acme", stream, before)
    with psycopg.connect(database.admin_url) as admin:
        shed = "convert_to(replace(convert_from(state, 'UTF8'), 'shop', 'shed'), 'UTF8')"
        admin.execute(f"update rollbook.snapshots set state = {shed}".encode())
    await kernel.run(schedule_deployment, schedule())
    lane = (await kernel.store.load("acme", [stream]))[stream]
    assert (lane.taxonomy.name, lane.version) == ("shed", before.version + 1)


@pytest.mark.parametrize(
    "change", ["""state = '{"wrong": 1}', format = '0'""", "state = 'not JSON', organisation = 'other'"]
)
async def test_a_snapshot_counts_only_in_todays_format_and_for_its_organisation(
    kernel: Kernel, database: Database, change: str
) -> None:
    stream = await a_busy_lane(kernel)
    whole = (await kernel.store.load("acme", [stream]))[stream]
    await kernel.store.keep_snapshot("acme", stream, whole)
    with psycopg.connect(database.admin_url) as admin:
        admin.execute(f"update rollbook.snapshots set {change}".encode())
    assert state((await kernel.store.load("acme", [stream]))[stream]) == state(whole)


async def test_a_newer_snapshot_is_not_replaced_by_an_older_one(kernel: Kernel, database: Database) -> None:
    stream = await a_busy_lane(kernel)
    early = (await kernel.store.load("acme", [stream]))[stream]
    await kernel.run(schedule_deployment, schedule())
    late = (await kernel.store.load("acme", [stream]))[stream]
    for one in (late, early):
        await kernel.store.keep_snapshot("acme", stream, one)
    with psycopg.connect(database.admin_url) as admin:
        assert admin.execute("select version from rollbook.snapshots").fetchone() == (late.version,)
