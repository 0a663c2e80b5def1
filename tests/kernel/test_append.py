"""The log takes commits whole, in one order, and nobody can change it afterwards."""

import asyncio
import hashlib
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.postgres.appender import Waiting, event_rows
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pools import refuse_powerful_role
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from application.execution import Executor
from application.ports.event_store import Circumstances, CommandKey, Commit, Conflict
from domain.errors import KeyReused, NotFound, TooLarge
from domain.freezes import Freezes
from domain.lane import Lane
from domain.release import Release
from domain.status import Status
from domain.taxonomy import Taxonomy
from tests.conftest import Database
from tests.kernel.conftest import SOMEBODY, Kernel

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


async def test_a_stream_that_moved_is_a_conflict_and_nothing_is_appended(kernel: Kernel) -> None:
    await kernel.store.append(commit_of(lane()))
    with pytest.raises(Conflict):
        await kernel.store.append(commit_of(lane()))


async def test_a_guard_that_moved_is_a_conflict(kernel: Kernel) -> None:
    guard = f"freezes-{Freezes.id_of('acme')}"
    await kernel.store.append(commit_of(lane("a"), guards={guard: 0}))
    with pytest.raises(Conflict):
        await kernel.store.append(commit_of(lane("b"), guards={guard: 1}))


async def test_a_key_is_taken_once_until_it_is_released(kernel: Kernel) -> None:
    await kernel.store.append(commit_of(lane("a"), taken={"name": "a"}))
    with pytest.raises(Conflict):
        await kernel.store.append(commit_of(lane("b"), taken={"name": "b"}))
    await kernel.store.append(commit_of(lane("c"), released={"name"}))
    await kernel.store.append(commit_of(lane("d"), taken={"name": "d"}))


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


async def test_writers_in_several_processes_lose_nothing_and_the_chain_holds(
    kernel: Kernel, database: Database
) -> None:
    others = [Executor(PostgresEventStore(kernel.pools), lambda: datetime.now(UTC)) for _ in range(3)]

    async def write(executor: Executor, organisation: str) -> None:
        circumstances = Circumstances(SOMEBODY, {}, datetime.now(UTC), "0" * 32)
        for n in range(15):
            done = await executor.execute(organisation, circumstances, schedule_deployment, schedule(version=str(n)))
            command = UpdateDeployment(done.resource, Status.DEPLOYED)
            await executor.execute(organisation, circumstances, update_deployment, command)

    await asyncio.gather(*(write(e, o) for e in others for o in ("acme", "other")))
    with psycopg.connect(database.admin_url) as admin:
        query = """select position, organisation, sequence, previous_hash, hash, envelope, payload, recorded_at,
                          commit_position, topic from rollbook.events order by position"""
        rows = admin.execute(query).fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert sum(row[9] == "deployment.scheduled" for row in rows) == 90
    for organisation in ("acme", "other"):
        chain = bytes(32)
        own = [row for row in rows if row[1] == organisation]
        assert [row[2] for row in own] == list(range(1, len(own) + 1))
        for row in own:
            assert row[3] == chain
            chain = hashlib.sha256(chain + hashlib.sha256(row[5]).digest() + hashlib.sha256(row[6]).digest()).digest()
            assert row[4] == chain
    moments = dict.fromkeys((row[8], row[7]) for row in rows)
    assert len(dict(moments)) == len(moments)
    assert [at for _, at in moments] == sorted({at for _, at in moments})


async def test_another_organisation_sees_nothing(kernel: Kernel) -> None:
    done = await kernel.run(schedule_deployment, schedule())
    with pytest.raises(NotFound):
        await kernel.run(update_deployment, UpdateDeployment(done.resource, Status.FAILED), organisation="other")
    async with kernel.pools.reading("other") as connection:
        row = await (await connection.execute("select count(*) from rollbook.events")).fetchone()
    assert row == (0,)


@pytest.mark.parametrize(
    "change", ["update rollbook.events set topic = 'x'", "delete from rollbook.events", "truncate rollbook.events"]
)
async def test_nobody_changes_the_log(kernel: Kernel, database: Database, change: str) -> None:
    await kernel.run(schedule_deployment, schedule())
    for pool in (kernel.pools.writer, kernel.pools.reader, kernel.pools.projector):
        async with pool.connection() as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(change.encode())
    for url in (database.owner_url, database.admin_url):
        with psycopg.connect(url) as powerful, pytest.raises(psycopg.errors.InsufficientPrivilege, match="for ever"):
            powerful.execute(change.encode())


async def test_a_powerful_role_is_refused_at_start(database: Database) -> None:
    await refuse_powerful_role(database.app_url)
    for url in (database.owner_url, database.admin_url):
        with pytest.raises(PermissionError):
            await refuse_powerful_role(url)


async def test_a_snapshot_gives_the_same_lane_as_its_events(kernel: Kernel) -> None:
    ids = [(await kernel.run(schedule_deployment, schedule(version=str(n)))).resource for n in range(20)]
    for one in ids[::3]:
        await kernel.run(update_deployment, UpdateDeployment(one, Status.DEPLOYED))
    stream = f"lane-{SHOP.lane_id('acme')}"
    whole = (await kernel.store.load("acme", [stream]))[stream]
    await kernel.store.keep_snapshot("acme", stream, whole)
    restored = (await kernel.store.load("acme", [stream]))[stream]
    for name in ("version", "entries", "numbers", "ran", "last_number", "held"):
        assert getattr(restored, name) == getattr(whole, name), name
    assert UUID(ids[0])
