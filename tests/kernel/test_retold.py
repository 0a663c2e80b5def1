"""Read models against a second opinion: random histories, told anew from the bytes of the log."""

import asyncio
from datetime import datetime
from inspect import isclass
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from adapters.postgres.intervals import fork_of
from adapters.postgres.rebuild import rebuild
from domain.audit_export import AuditExport
from domain.data_deployment import DataDeployment
from domain.environment import Environment
from domain.incident import Incident
from domain.installation import Installation
from domain.job import Job
from domain.organisation import Organisation
from domain.package import Package
from domain.status import Status
from domain.teams import Teams
from domain.webhook import Webhook
from projections.read_model import ReadModel, table
from projections.registry import READ_MODELS
from tests.kernel.acting import Acting
from tests.kernel.acts import ACTS, OPENING, Act
from tests.kernel.chain import stored
from tests.kernel.history import EXAMPLES, fresh_kernel, live_through_a_story
from tests.kernel.retold import TOLD, Version, retell
from tests.kernel.test_read_models import live_through, project
from tests.reference.stories import STORIES, Step

LATER: Any = [("schedule", 0, None), ("schedule", 1, None), ("report", 1, Status.DEPLOYED), ("roll back", 1, None)]
TOPICS = {
    event.TOPIC
    for kind in (Environment, Package, DataDeployment, Installation, Job, Incident, Teams, Webhook, AuditExport)
    for event in vars(kind).values()
    if isclass(event) and hasattr(event, "TOPIC")
} | {Organisation.Erased.TOPIC}


def told_of(admin_url: str) -> set[str]:
    """The topics of all events."""
    return {event["topic"] for event in stored(admin_url)}


def kept(admin: psycopg.Connection[dict[str, Any]], model: ReadModel) -> list[Version]:
    """All versions that a read model's table holds, each with its columns as its document says, and filed right."""
    query = f"select * from rollbook_views.{table(model)} order by key, from_position"
    found = []
    for row in admin.execute(query.encode()).fetchall():
        document = orjson.loads(row["document"])
        assert row["fork"] == fork_of(row["from_position"], row["to_position"])
        assert {c: plain(row[c]) for c in model.columns} == {c: moment(document[c], row[c]) for c in model.columns}
        found.append(Version(row["key"], row["organisation"], row["from_position"], row["to_position"], document))
    return found


def plain(value: Any) -> Any:
    """A column's value as a document has it."""
    return str(value) if isinstance(value, UUID) else value


def moment(member: Any, column: Any) -> Any:
    """A document's member as its column has it."""
    return datetime.fromisoformat(member) if isinstance(column, datetime) else member


def check(admin_url: str) -> None:
    """Every row of every read model is what the log says, and there is no other."""
    log = stored(admin_url)
    assert {model.name for model in READ_MODELS} == TOLD.keys()
    with psycopg.connect(admin_url, row_factory=dict_row) as admin:
        for model in READ_MODELS:
            assert kept(admin, model) == retell(log, model.name), model.name


@settings(max_examples=5, **EXAMPLES)
@given(steps=STORIES, acts=ACTS, batch=st.sampled_from([1, 3, 1000]))
def test_each_row_is_what_the_log_says_followed_or_rebuilt(
    postgres: Any, template: str, steps: list[Step], acts: list[Act], batch: int
) -> None:
    async def one() -> None:
        async with fresh_kernel(postgres, template) as (kernel, url):
            admin_url = psycopg.conninfo.make_conninfo(
                postgres.admin_url, dbname=psycopg.conninfo.conninfo_to_dict(url)["dbname"]
            )
            await live_through_a_story(kernel, steps)
            acting = Acting(kernel)
            await acting.live_through(OPENING)
            assert told_of(admin_url) >= TOPICS
            await project(kernel, url, batch)
            check(admin_url)
            await live_through(kernel, LATER)
            await acting.live_through(acts)
            projected = await project(kernel, url, batch)
            check(admin_url)
            spoil(admin_url)
            with pytest.raises(AssertionError):
                check(admin_url)
            for model in READ_MODELS:
                await rebuild(kernel.pools, projected.log, model, lambda position, head: None)
            check(admin_url)

    asyncio.run(one())


def spoil(admin_url: str) -> None:
    """Changes a row behind everybody's back, and drops another."""
    with psycopg.connect(admin_url) as admin:
        for model in READ_MODELS:
            name = f"rollbook_views.{table(model)}"
            admin.execute(f"update {name} set document = replace(document, '00:00', '00:01')".encode())
            admin.execute(f"delete from {name} where from_position = (select max(from_position) from {name})".encode())
