"""Read models remember: at every position they are what a fold of the log up to there gives."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres import codec
from adapters.postgres.conditions import one_of
from adapters.postgres.job_runs import JobRuns
from adapters.postgres.log import PostgresLog
from adapters.postgres.projector import Projector
from adapters.postgres.rebuild import rebuild
from adapters.postgres.references import References
from adapters.postgres.views import PostgresViews, Visibility
from application.deployments import UpdateDeployment, schedule_deployment, update_deployment
from application.freezes import DeclareFreeze, declare_freeze
from application.rollbacks import RollBackLane, roll_back_lane
from domain.errors import RollbookError
from domain.freezes import Scope
from domain.recorded import RecordedEvent
from domain.status import Status
from domain.taxonomy import Taxonomy
from projections.read_model import ReadModel, Row, table
from projections.registry import DEPLOYMENTS, READ_MODELS
from tests.conftest import Database, Running
from tests.kernel.conftest import Kernel
from tests.kernel.history import fresh_kernel
from tests.kernel.test_append import SHOP, schedule
from tests.queue.conftest import Queue

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), st.integers(0, 2), st.just(Status.SCHEDULED)),
        st.tuples(st.just("report"), st.integers(0, 20), st.sampled_from(list(Status))),
        st.tuples(st.just("roll back"), st.integers(0, 2), st.just(Status.SCHEDULED)),
        st.tuples(st.just("freeze"), st.integers(0, 2), st.just(Status.SCHEDULED)),
    ),
    min_size=3,
    max_size=25,
)


async def live_through(kernel: Kernel, steps: list[tuple[str, int, Status]]) -> None:
    """Runs commands; what the domain refuses is part of a history too."""
    made: list[str] = []
    for what, number, status in steps:
        taxonomy = Taxonomy(f"shop-{number % 3}", "gcp")
        try:
            if what == "schedule":
                made.append((await kernel.run(schedule_deployment, schedule(taxonomy))).resource)
            elif what == "report" and made:
                await kernel.run(update_deployment, UpdateDeployment(made[number % len(made)], status))
            elif what == "roll back":
                made.append((await kernel.run(roll_back_lane, RollBackLane(taxonomy, "repo", "workflow"))).resource)
            elif what == "freeze":
                scope = Scope(name="shop-9")
                await kernel.run(declare_freeze, DeclareFreeze(scope, "why"))
        except RollbookError:
            continue


@dataclass
class Projected:
    """A projector that has caught up."""

    log: PostgresLog
    views: PostgresViews


async def project(kernel: Kernel, url: str, batch: int, models: tuple[ReadModel, ...] = READ_MODELS) -> Projected:
    """Follows the log to its end and stops."""
    log = PostgresLog(kernel.pools, url)
    projector = Projector(kernel.pools, log, models, batch)
    stop, head = asyncio.Event(), await log.head()

    def told(position: int) -> None:
        if position >= head:
            stop.set()
            log.wake(head + 1)  # Who waits for more looks up at once, and sees that it is to stop.

    projector.on_progress.append(told)
    await asyncio.wait_for(projector.run(stop), 30)
    await log.close()
    return Projected(log, PostgresViews(kernel.pools, Visibility()))


def fold(model: ReadModel, events: list[RecordedEvent]) -> dict[str, Row]:
    """The rows that these events give."""
    rows: dict[str, Row] = {}
    for event in events:
        if key := model.key(event):
            _, data = codec.upcast(event.topic, event.schema_version, dict(event.data))
            if (row := model.fold(rows.get(key), event, data)) is not None:
                rows[key] = row
    return rows


def plain(rows: list[Row]) -> list[str]:
    """Rows in an order that does not matter."""
    return sorted(str(sorted(row.items())) for row in rows)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, batch=st.sampled_from([1, 2, 7, 1000]))
def test_every_position_shows_the_fold_up_to_its_commit(
    postgres: Any, template: str, steps: list[tuple[str, int, Status]], batch: int
) -> None:
    asyncio.run(check_every_position(postgres, template, steps, batch))


async def check_every_position(postgres: Any, template: str, steps: list[Any], batch: int) -> None:
    """On a database of its own for each example."""
    async with fresh_kernel(postgres, template) as (kernel, url):
        await live_through(kernel, steps)
        projected = await project(kernel, url, batch)
        events = await projected.log.read_after(0, 100_000)
        ends = {e.position: e.commit_position for e in events}
        references = References(projected.views, JobRuns(kernel.pools).moment_at)
        for position in range(len(events) + 1):
            resolved = (await references.resolve("acme", str(position))).position
            assert resolved == max((p for p, end in ends.items() if p == end and p <= position), default=0)
            for model in READ_MODELS:
                page = await projected.views.select("acme", model, order="key", as_of=resolved)
                expected = fold(model, [e for e in events if e.position <= resolved])
                assert plain(page.rows) == plain(list(expected.values()))


async def test_a_filtered_past_equals_a_filtered_fold(kernel: Kernel, database: Database) -> None:
    for n in range(8):
        done = await kernel.run(schedule_deployment, schedule(SHOP, str(n)))
        if n % 3 == 2:
            await kernel.run(update_deployment, UpdateDeployment(done.resource, Status.DEPLOYED))
    projected = await project(kernel, database.app_url, 5)
    events = await projected.log.read_after(0, 1000)
    for position in {e.commit_position for e in events}:
        wanted = [one_of("status", ["scheduled", "skipped"])]
        page = await projected.views.select("acme", DEPLOYMENTS, wanted, as_of=position)
        rows = fold(DEPLOYMENTS, [e for e in events if e.position <= position]).values()
        assert plain(page.rows) == plain([r for r in rows if r["status"] in ("scheduled", "skipped")])


class Poisoned:
    """Deployments, folded by a program with a fault."""

    name: ClassVar[str] = "poisoned"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("deployment",)
    columns: ClassVar[Mapping[str, str]] = {"created_position": "bigint"}
    indexes: ClassVar[Mapping[str, str]] = {}

    def key(self, event: RecordedEvent) -> str | None:
        """As ever."""
        return DEPLOYMENTS.key(event)

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        """Stumbles over what failed."""
        if event.topic == "deployment.failed":
            raise KeyError("oops")
        return DEPLOYMENTS.fold(row, event, data)


async def test_a_fault_of_ours_parks_its_stream_and_the_rest_goes_on(kernel: Kernel, database: Database) -> None:
    bad, good = [(await kernel.run(schedule_deployment, schedule())).resource for _ in range(2)]
    for one in (bad, good):
        await kernel.run(update_deployment, UpdateDeployment(one, Status.FAILED if one == bad else Status.DEPLOYED))
    await kernel.run(update_deployment, UpdateDeployment(bad, Status.DEPLOYED))
    model = Poisoned()
    projected = await project(kernel, database.app_url, 3, (model,))
    rows = {r["id"]: r["status"] for r in (await projected.views.select("acme", model)).rows}
    assert rows == {bad: "scheduled", good: "deployed"}
    assert [r["id"] for r in (await projected.views.select("acme", model)).rows if "stale_since" in r] == [bad]
    with psycopg.connect(database.admin_url) as admin:
        parked = admin.execute("select stream_id, problem from rollbook_views.parked_streams").fetchall()
    assert parked == [(f"deployment-{bad}", "KeyError: 'oops'")]


async def test_a_new_read_model_is_caught_up_beside_the_others(kernel: Kernel, database: Database) -> None:
    await kernel.run(schedule_deployment, schedule())
    await project(kernel, database.app_url, 10)
    await kernel.run(schedule_deployment, schedule())
    late = Poisoned()
    projected = await project(kernel, database.app_url, 1, (*READ_MODELS, late))
    models: tuple[ReadModel, ...] = (DEPLOYMENTS, late)
    for model in models:
        assert len((await projected.views.select("acme", model)).rows) == 2


@pytest.mark.parametrize("batch", [1, 3])
async def test_projecting_again_changes_nothing(kernel: Kernel, database: Database, batch: int) -> None:
    await live_through(kernel, [("schedule", 0, Status.SCHEDULED), ("report", 0, Status.DEPLOYED)] * 3)
    first = await project(kernel, database.app_url, batch)
    before = plain((await first.views.select("acme", DEPLOYMENTS)).rows)
    again = await project(kernel, database.app_url, batch)
    assert plain((await again.views.select("acme", DEPLOYMENTS)).rows) == before


async def test_a_rebuilt_read_model_is_the_same_row_by_row_also_twice(kernel: Kernel, database: Database) -> None:
    steps = [("schedule", n, Status.SCHEDULED) for n in range(6)] + [("report", n, Status.DEPLOYED) for n in (1, 4)]
    await live_through(kernel, steps)
    projected = await project(kernel, database.app_url, 4)
    for model in READ_MODELS:
        before = versions(database, model)
        for _ in range(2):
            seen: list[int] = []

            def note(position: int, head: int, seen: list[int] = seen) -> None:
                seen.append(position)

            count = await rebuild(kernel.pools, projected.log, model, note)
            assert seen[-1] == count == await projected.log.head()
            assert versions(database, model) == before
    await kernel.run(schedule_deployment, schedule())
    assert len((await (await project(kernel, database.app_url, 4)).views.select("acme", DEPLOYMENTS)).rows) == 7


def versions(database: Database, model: ReadModel) -> list[Any]:
    """Every version of every row."""
    with psycopg.connect(database.admin_url) as admin:
        return admin.execute(f"select * from rollbook_views.{table(model)} order by 1, 3".encode()).fetchall()


async def test_a_projector_that_runs_goes_on_after_a_rebuild(rollbook: Running) -> None:
    queue = Queue(rollbook.client)
    first = await queue.create("1")
    await rebuild(rollbook.app.pools, rollbook.app.log, DEPLOYMENTS, lambda position, head: None)
    await queue.report(first, "deployed")
    await queue.create("2")
    assert [d["status"] for d in await queue.ask("GET", "/v1/deployments")] == ["scheduled", "deployed"]
