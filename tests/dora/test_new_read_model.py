"""A read model that nobody had thought of while the past was recorded answers for all of it, as of any position."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from adapters.postgres.conditions import equals
from application.deployments import UpdateDeployment, schedule_deployment, update_deployment
from domain.recorded import RecordedEvent
from domain.status import Status
from domain.taxonomy import Taxonomy
from projections.read_model import ReadModel, Row
from projections.registry import READ_MODELS
from tests.conftest import Database
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule
from tests.kernel.test_read_models import Projected, project


class Restlessness:
    """How often each deployment moved: what a user's new question may look like."""

    name: ClassVar[str] = "restlessness"
    version: ClassVar[int] = 1
    aggregates: ClassVar[tuple[str, ...]] = ("deployment",)
    columns: ClassVar[Mapping[str, str]] = {"created_position": "bigint", "name": 'text collate "C"', "moves": "int"}
    indexes: ClassVar[Mapping[str, str]] = {"name": "btree (organisation, name, created_position desc)"}

    def key(self, event: RecordedEvent) -> str | None:
        return event.stream_id[11:] if event.stream_id.startswith("deployment-") else None

    def fold(self, row: Row | None, event: RecordedEvent, data: dict[str, Any]) -> Row | None:
        if row is None:
            return {"name": data["taxonomy"]["name"], "moves": 0, "created_position": event.position}
        return {**row, "moves": row["moves"] + 1}


async def live_through(kernel: Kernel, deployments: int) -> None:
    """Some deployments fail a few times before they go live."""
    for number in range(deployments):
        made = await kernel.run(schedule_deployment, schedule(Taxonomy(f"shop-{number % 3}", "gcp")))
        for status in [Status.FAILED] * (number % 4) + [Status.DEPLOYED]:
            await kernel.run(update_deployment, UpdateDeployment(made.resource, status))


async def moves(projected: Projected, position: int, name: str) -> list[int]:
    """What the new read model says of a component, as of a position."""
    page = await projected.views.select("acme", Restlessness(), [equals("name", name)], as_of=position)
    return [row["moves"] for row in page.rows]


def counted(events: list[RecordedEvent], position: int, name: str) -> list[int]:
    """The same, counted in the log; newest first."""
    until = [e for e in events if e.commit_position <= position]
    begun = [e for e in until if e.topic == "deployment.scheduled" and e.data["taxonomy"]["name"] == name]
    events_of = Counter(e.stream_id for e in until)
    return [events_of[e.stream_id] - 1 for e in reversed(begun)]


@pytest.mark.parametrize("batch", [3, 1000])
async def test_a_new_read_model_covers_the_whole_past_by_replay(kernel: Kernel, database: Database, batch: int) -> None:
    await live_through(kernel, 9)
    before = await project(kernel, database.app_url, batch)
    head = await before.log.head()
    models: tuple[ReadModel, ...] = (*READ_MODELS, Restlessness())
    await live_through(kernel, 2)
    projected = await project(kernel, database.app_url, batch, models)
    events = await projected.log.read_after(0, 10_000)
    assert sum(counted(events, head, "shop-1")) > 0
    for position in sorted({e.commit_position for e in events}):
        for name in ("shop-0", "shop-1", "shop-2"):
            assert await moves(projected, position, name) == counted(events, position, name)
