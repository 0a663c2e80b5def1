"""Long histories, made quickly: the domain decides each event, the product's append function records it."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg

from adapters.postgres.appender import STATEMENT, Waiting, call_parameters, event_rows
from application.deployments import SKIP_RULE, entry_of
from application.execution import stream_of
from application.ports.event_store import Actor, Circumstances, Commit
from domain.deployment import Deployment
from domain.lane import Lane
from domain.release import Release
from domain.status import Status, Trigger
from domain.taxonomy import Taxonomy

ORGANISATION = "local-dev"
COMMITS_A_CALL = 64
OPEN_AT_ONCE = 40
RARE_ENVIRONMENT = "sandbox"
NOBODY = Actor(UUID(int=1), "c2VhbGVk")


@dataclass(slots=True)
class Step:
    """What one command changed: a deployment, those that it skipped, and the lane."""

    deployment: Deployment
    skipped: list[Deployment]
    lane: Lane


class History:
    """Deployments of a team: scheduled, started, live or failed; one in ten is overtaken before it starts."""

    def __init__(self, lanes: int = 200) -> None:
        self.lanes = [Lane.open(ORGANISATION, taxonomy(n), datetime.now(UTC)) for n in range(lanes)]
        self.waiting: dict[str, Deployment] = {}
        self.made = 0

    def steps(self) -> Iterator[Step]:
        """Without end; so many deployments are on their way at any moment."""
        under_way: deque[tuple[Deployment, Status]] = deque()
        while True:
            while len(under_way) < OPEN_AT_ONCE:
                lane = self.lanes[self.made * 7919 % len(self.lanes)]
                overtaken = self.made % 10 == 9
                for _ in range(1 + overtaken):
                    deployment = self.schedule(lane)
                    yield Step(deployment, [], lane)
                under_way.append((deployment, Status.IN_PROGRESS))
            deployment, status = under_way.popleft()
            yield self.report(deployment, status)
            if status is Status.IN_PROGRESS:
                under_way.append((deployment, Status.FAILED if deployment.number % 20 == 7 else Status.DEPLOYED))

    def schedule(self, lane: Lane) -> Deployment:
        """The next deployment, at the end of a lane."""
        self.made += 1
        deployment = Deployment.schedule(
            uuid4(),
            datetime.now(UTC),
            organisation=ORGANISATION,
            taxonomy=lane.taxonomy,
            release=release(self.made),
            number=lane.last_number + 1,
            trigger=Trigger.AUTO,
            requested_by=str(NOBODY.id),
            created_by_repo=f"{ORGANISATION}/local",
            created_by_workflow="local-dev",
            **dict.fromkeys(UNSAID),
        )
        lane.place(entry_of(deployment), datetime.now(UTC))
        self.waiting[str(deployment.id)] = deployment
        return deployment

    def report(self, deployment: Deployment, status: Status) -> Step:
        """What becomes of a deployment; going live empties its lane's queue, as the domain says."""
        lane, now = self.lanes[lane_number(deployment.taxonomy)], datetime.now(UTC)
        self.waiting.pop(str(deployment.id), None)
        deployment.report(status, now)
        lane.place(entry_of(deployment), now)
        skipped: list[Deployment] = []
        if status is Status.DEPLOYED:
            skipped = [self.waiting.pop(one) for one in lane.supersede(entry_of(deployment), now)]
        for one in skipped:
            one.skip(now, str(deployment.id), SKIP_RULE)
        return Step(deployment, skipped, lane)

    def commits(self) -> Iterator[Commit]:
        """The commits of all steps."""
        for step in self.steps():
            touched = (step.deployment, *step.skipped, step.lane)
            streams = {stream_of(type(one), one.id): list(one.collect_events()) for one in touched}
            circumstances = Circumstances(NOBODY, ORIGIN, datetime.now(UTC), "0" * 32)
            yield Commit(ORGANISATION, circumstances, cast(Any, streams), resource=str(step.deployment.id))


UNSAID = ("notes", "deployment_uri", "source_deployment_id", "rollback_from_deployment_id")
ORIGIN = {"interface": "queue", "repository": f"{ORGANISATION}/local", "workflow": "local-dev", "run_id": "1"}


def taxonomy(number: int) -> Taxonomy:
    """One of the lanes."""
    return Taxonomy(f"service-{number}", "gcp", "account", "europe-west1")


def lane_number(where: Taxonomy) -> int:
    """Which of the lanes a taxonomy is."""
    return int(where.name.removeprefix("service-"))


def release(number: int) -> Release:
    """What is deployed; one in two thousand goes to an environment that hardly anybody uses."""
    environment = RARE_ENVIRONMENT if number % 2000 == 0 else ("production", "staging")[number % 2]
    return Release(
        version=f"1.0.{number}",
        environment=environment,
        type="k8s",
        commit_sha="0123456789abcdef0123456789abcdef01234567",
        description="A deployment of the benchmark",
    )


def seed(app_url: str, events: int, lanes: int = 200) -> int:
    """Appends about so many events (a few more to finish the last commit); answers how many."""
    done = 0
    with psycopg.connect(app_url, autocommit=True) as connection, ThreadPoolExecutor(1) as thread:
        connection.execute("set role rollbook_writer")
        connection.execute("set synchronous_commit = off")
        under_way: deque[Future[None]] = deque()
        for group in groups(History(lanes).commits()):
            under_way.append(thread.submit(append, connection, group))
            done += sum(len(one.rows) for one in group)
            if len(under_way) > 2:
                under_way.popleft().result(60)
            if done >= events:
                break
        for one in under_way:
            one.result(60)
    return done


def groups(commits: Iterable[Commit], size: int = COMMITS_A_CALL) -> Iterator[list[Waiting]]:
    """So many commits at a time, as the appender would send them."""
    source = iter(commits)
    while group := list(islice(source, size)):
        yield [Waiting(one, event_rows(one), cast(Any, None)) for one in group]


def append(connection: psycopg.Connection, group: list[Waiting]) -> None:
    """One call of the append function; a commit that was refused is a fault of the benchmark."""
    cursor = connection.execute(STATEMENT.encode(), [None, *call_parameters(group)], prepare=True, binary=True)
    refused = {row[0] for row in cursor.fetchall()} - {"appended"}
    if refused:
        raise RuntimeError(f"seeding was refused: {refused}")
