"""Writers that are processes of their own: each claims, reports and queues on lanes and keys that all of them share."""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID, uuid5

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pools import Pools
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from application.execution import Executor
from application.ports.event_store import Actor, Circumstances, CommandKey, Commit, Conflict
from domain.lane import Lane
from domain.release import Release
from domain.status import Status
from domain.taxonomy import Taxonomy

SOMEBODY = Actor(UUID(int=1), "c2VhbGVk")
LANES = (Taxonomy("shop", "gcp"), Taxonomy("till", "gcp"))
ORGANISATIONS = ("acme", "other")
ROUNDS = 12
NAMES = 6


def write(url: str, number: int) -> list[tuple[str, str, int]]:
    """Everything that one process does; for each command key, what was answered and where it stands."""
    return asyncio.run(write_all(url, number))


async def write_all(url: str, number: int) -> list[tuple[str, str, int]]:
    """Both organisations at once, with no memory of what other processes do."""
    pools = Pools.of(url, 2)
    await pools.open()
    store = PostgresEventStore(pools)
    executor = Executor(store, lambda: datetime.now(UTC))
    try:
        answers = await asyncio.gather(*(queue_and_deploy(executor, o, number) for o in ORGANISATIONS))
        await take_names(store, number)
        return [answer for some in answers for answer in some]
    finally:
        await store.close()
        await pools.close()


async def queue_and_deploy(executor: Executor, organisation: str, number: int) -> list[tuple[str, str, int]]:
    """Queues under keys that other processes send too, and reports what was queued under keys of its own."""
    around = Circumstances(SOMEBODY, {}, datetime.now(UTC), "0" * 32)
    answers = []
    for turn in range(ROUNDS):
        key = shared_key(organisation, turn)
        done = await executor.execute(organisation, around, schedule_deployment, queued(turn), key)
        answers.append((str(key.command_id), done.resource, done.position))
        own = await executor.execute(organisation, around, schedule_deployment, queued(turn))
        status = (Status.DEPLOYED, Status.FAILED, Status.IN_PROGRESS)[(turn + number) % 3]
        await executor.execute(organisation, around, update_deployment, UpdateDeployment(own.resource, status))
    return answers


def queued(turn: int) -> ScheduleDeployment:
    """A release for one of the lanes."""
    return ScheduleDeployment(LANES[turn % 2], Release(str(turn), "production", "k8s"), True, "repo", "workflow")


def shared_key(organisation: str, turn: int) -> CommandKey:
    """The same in every process."""
    name = f"{organisation} {turn}"
    return CommandKey(uuid5(UUID(int=9), name), sha256(name.encode()).digest(), 201)


async def take_names(store: PostgresEventStore, number: int) -> None:
    """Tries for names that the others want too; each stream is this process's own."""
    around = Circumstances(SOMEBODY, {}, datetime.now(UTC), "0" * 32)
    for name in range(NAMES):
        lane = Lane.open("acme", Taxonomy(f"of process {number}", "gcp", cell=str(name)), datetime.now(UTC))
        stream = f"lane-{lane.id}"
        commit = Commit("acme", around, {stream: list(lane.collect_events())}, taken={f"name {name}": stream})
        try:
            await store.append(commit)
        except Conflict:
            continue
