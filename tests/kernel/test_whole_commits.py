"""A job ends in one commit with what it is about: no position shows one without the other, in tables or over HTTP."""

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from hypothesis import given, settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters.postgres.job_runs import JobRuns
from adapters.postgres.references import References
from adapters.postgres.views import PostgresViews
from application.data_deployments import DEPLOYING
from application.exports import GENERATING, action_of
from application.packages import PACKING
from domain.job_status import ENDED
from projections.registry import DATA_DEPLOYMENTS, ENVIRONMENTS, JOBS, PACKAGE_ACTIONS, PACKAGES
from tests.conftest import Database, running_rollbook, settings_for
from tests.kernel.acting import Acting
from tests.kernel.acts import ACTS, OPENING, Act
from tests.kernel.chain import stored
from tests.kernel.history import EXAMPLES, fresh_kernel
from tests.kernel.log_words import Document, Event
from tests.kernel.retold import Version, as_of, retell

MODELS = (JOBS, ENVIRONMENTS, PACKAGES, PACKAGE_ACTIONS, DATA_DEPLOYMENTS)
ORGANISATIONS = ("acme", "other")
Rows = dict[str, dict[str, Document]]
# In the words of the packages interface.
WORDS = {"scheduled": "pending", "deployed": "completed", "cancelled": "failed"}


@settings(max_examples=2, **EXAMPLES)
@given(acts=ACTS)
def test_each_position_shows_a_job_and_what_it_is_about_after_the_same_commit(
    postgres: Any, template: str, tmp_path: Path, acts: list[Act]
) -> None:
    async def one() -> None:
        async with fresh_kernel(postgres, template) as (kernel, url):
            await Acting(kernel).live_through([*OPENING, *acts])
            admin_url = make_conninfo(postgres.admin_url, dbname=str(conninfo_to_dict(url)["dbname"]))
            log = stored(admin_url)
            told = {model.name: retell(log, model.name) for model in MODELS}
            async with running_rollbook(settings_for(tmp_path), Database("", "", url, admin_url)) as running:
                answer = await running.client.get("/api/jobs", headers={"X-Organisation": "acme"})
                assert answer.status_code == 200, answer.text
                for organisation in ORGANISATIONS:
                    await check_tables(running.app.views, log, told, organisation)
                await check_answers(running.client, log, told)

    asyncio.run(one())


async def check_tables(
    views: PostgresViews, log: list[Event], told: dict[str, list[Version]], organisation: str
) -> None:
    """Every position is that of the last whole commit, and there all read models agree."""
    references = References(views, JobRuns(views.pools).moment_at)
    ends = sorted({event["commit_position"] for event in log})
    for position in range(len(log) + 1):
        shown = (await references.resolve(organisation, str(position))).position
        assert shown == max((end for end in ends if end <= position), default=0)
        if shown == position:
            rows: Rows = {}
            for model in MODELS:
                page = await views.select(organisation, model, as_of=shown, limit=1000)
                assert page.rows == as_of(told[model.name], organisation, shown), (model.name, position)
                rows[model.name] = {str(row.get("id")): row for row in page.rows}
            they_agree(rows)


def they_agree(rows: Rows) -> None:
    """Whether a job has ended is whether what it is about has, and one deployment of a package is on top."""
    for job_id, job in rows["jobs"].items():
        if job["handler"] == PACKING and rows["packages"][job_id]["status"] != "deleted":
            assert (job["status"] in ENDED) == (rows["packages"][job_id]["status"] != "packing")
        if job["handler"] == GENERATING:
            action = rows["package_actions"][action_of(UUID(job_id))]
            assert (job["status"] in ENDED) == (action["completed_at"] is not None)
            assert (job["status"] == "completed") == (action["status"] == "completed")
        if job["handler"] == DEPLOYING and (deployment := rows["data_deployments"].get(job_id)):
            assert (job["status"] in ENDED) == (deployment["status"] not in ("scheduled", "in_progress"))
    for deployment in rows["data_deployments"].values():
        action = rows["package_actions"][deployment["action_id"]]
        assert (action["completed_at"] is None) == (deployment["status"] in ("scheduled", "in_progress"))
    for action in (one for one in rows["package_actions"].values() if one["kind"] == "pack"):
        assert (action["completed_at"] is None) == (rows["packages"][action["package_id"]]["status"] == "packing")
    on_top = Counter((d["package"], d["environment"]) for d in rows["data_deployments"].values() if d["is_active"])
    assert set(on_top.values()) <= {1}


async def check_answers(client: httpx2.AsyncClient, log: list[Event], told: dict[str, list[Version]]) -> None:
    """Within each commit that changed several streams and behind it, as callers see it."""
    streams = Counter(end for end, _ in {(e["commit_position"], e["stream_id"]) for e in log})
    for before, end in pairwise([0, *sorted(streams)]):
        organisation = log[end - 1]["organisation"]
        for asked, shown in ((end - 1, before), (end, end)) if streams[end] > 1 else ():
            then = {name: as_of(versions, organisation, shown) for name, versions in told.items()}
            assert await statuses(client, "/api/jobs", "jobs", organisation, asked) == of(then["jobs"])
            living = [row for row in then["packages"] if row["status"] != "deleted"]
            assert await statuses(client, "/api/packages", "packages", organisation, asked) == of(living)
            wanted = [WORDS.get(status, status) for status in of(then["data_deployments"])]
            assert await statuses(client, "/api/deployments", "deployments", organisation, asked) == wanted


def of(rows: list[Document]) -> list[str]:
    """Their statuses."""
    return [row["status"] for row in rows]


async def statuses(client: httpx2.AsyncClient, path: str, listed: str, organisation: str, position: int) -> list[str]:
    """What a list says of each of its rows, newest first."""
    answer = await client.get(
        path, params={"as_of": str(position), "limit": 100}, headers={"X-Organisation": organisation}
    )
    assert answer.status_code == 200, answer.text
    return [row["status"] for row in answer.json()[listed]]
