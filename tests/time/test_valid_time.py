"""What was live at a moment is what a naive look through all events finds, at every position; and costs look-ups."""

import asyncio
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres.valid_time import CANDIDATES, live_then
from application.corrections import CorrectDeployment, correct_deployment
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from domain.errors import RollbookError
from domain.release import Release
from domain.status import Status
from tests.conftest import Database
from tests.kernel.chain import stored
from tests.kernel.conftest import Kernel
from tests.kernel.history import EXAMPLES, fresh_kernel
from tests.kernel.log_words import Event, own_id, said
from tests.kernel.test_read_models import project
from tests.reference.stories import AROUND, AUDIT, LANES

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OUTCOMES = [Status.DEPLOYED] * 4 + [Status.FAILED, Status.ROLLED_BACK, Status.SCHEDULED]
MINUTES = st.integers(0, 20)


@dataclass(frozen=True)
class Told:
    """Something that is told of a deployment; it happened so many minutes after noon."""

    what: str
    deployment: int
    minute: int
    outcome: Status = Status.DEPLOYED


REPORT = st.builds(Told, st.just("report"), st.integers(0, 5), MINUTES, st.sampled_from(OUTCOMES))
CORRECT = st.builds(Told, st.just("correct"), st.integers(0, 5), MINUTES)
STORIES = st.lists(st.one_of(REPORT, REPORT, CORRECT), min_size=4, max_size=16)


@settings(max_examples=6, **EXAMPLES)
@given(story=STORIES)
def test_what_was_live_is_what_all_events_say(postgres: Any, template: str, story: list[Told]) -> None:
    async def one() -> None:
        async with fresh_kernel(postgres, template) as (kernel, url):
            await live_through(kernel, story)
            views = (await project(kernel, url, 1000)).views
            log = stored(make_conninfo(postgres.admin_url, dbname=str(conninfo_to_dict(url)["dbname"])))
            for position in sorted({0, *(event["commit_position"] for event in log)}):
                for minute in range(-1, 22, 2):
                    then = NOON + timedelta(minutes=minute)
                    found = await live_then(views, "acme", then, position)
                    told = {(row["lane_id"], row["environment"]): row["deployment_id"] for row in found}
                    assert told == naive([e for e in log if e["commit_position"] <= position], then)

    asyncio.run(one())


async def live_through(kernel: Kernel, story: list[Told]) -> None:
    """Six deployments in two lanes and two environments; what the domain refuses is part of a history too."""
    for number in range(6):
        release = Release(str(number), ("production", "staging")[number % 3 == 2], "k8s")
        command = ScheduleDeployment(LANES[number % 2], release, True, *AUDIT, deployment_id=UUID(int=number + 1))
        await kernel.executor.execute("acme", AROUND, schedule_deployment, command)
    for told in story:
        deployment, at = str(UUID(int=told.deployment + 1)), NOON + timedelta(minutes=told.minute)
        around = replace(AROUND, occurred_at=at)
        try:
            if told.what == "report":
                report = UpdateDeployment(deployment, told.outcome)
                await kernel.executor.execute("acme", around, update_deployment, report)
            else:
                correction = CorrectDeployment(deployment, at, "why")
                await kernel.executor.execute("acme", around, correct_deployment, correction)
        except RollbookError:
            continue


def naive(log: list[Event], then: datetime) -> dict[tuple[str, str], str]:
    """By looking through all events: who went live last in each lane and environment, unless its stay was over."""
    facts: dict[str, tuple[str, str]] = {}
    stays: dict[str, list[list[Any]]] = {}
    for event in (e for e in log if e["stream_id"].startswith("deployment-")):
        who, data = own_id(event), said(event)
        at = datetime.fromisoformat(event["told"]["occurred_at"])
        mine = stays.setdefault(who, [])
        if event["topic"] == "deployment.scheduled":
            lane = next(lane for lane in LANES if lane.name == data["taxonomy"]["name"])
            facts[who] = (str(lane.lane_id("acme")), data["release"]["environment"])
        elif event["topic"] == "deployment.corrected":
            mine[-1][0] = datetime.fromisoformat(data["went_live_at"])
        elif mine and mine[-1][1] is None:
            mine[-1][1] = at
        if event["topic"] == "deployment.deployed":
            mine.append([at, None, event["commit_position"]])
    begun: dict[tuple[str, str], list[Any]] = {}
    for who, mine in stays.items():
        for since, until, position in mine:
            if since <= then and (until is None or since < until):
                begun.setdefault(facts[who], []).append((since, position, until, who))
    newest = {place: max(all_begun, key=lambda one: one[:2]) for place, all_begun in begun.items()}
    return {place: one[3] for place, one in newest.items() if one[2] is None or one[2] > then}


async def test_each_place_costs_a_look_up_behind_row_security(kernel: Kernel, database: Database) -> None:
    await live_through(kernel, [])
    await project(kernel, database.app_url, 1000)
    asked = {"organisation": "acme", "moment": NOON, "position": 99, "lanes": None}
    async with kernel.pools.reading("acme") as connection, connection.transaction():
        # So few rows would be read whole; what matters is that all conditions reach the index.
        await connection.execute("set local enable_seqscan = off")
        found = await connection.execute(sql.SQL("explain ") + CANDIDATES, asked)
        plan = "\n".join(line for (line,) in await found.fetchall())
    assert re.search(r"Index Cond: \(\(place = .+ AND \(valid_from <= ", plan), plan
    assert re.search(r"live_intervals_v1_again.*\n.*Index Cond: .*first_from <= ", plan), plan
