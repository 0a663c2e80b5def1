"""`rollbook rebuild` makes read models anew while they serve, and leaves them alone where it cannot."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from adapters.postgres import codec
from adapters.postgres.leadership import LEADERS
from adapters.postgres.rebuild import rebuild
from application.deployments import UpdateDeployment, schedule_deployment, update_deployment
from domain.errors import Clash
from domain.status import Status
from projections.read_model import table
from projections.registry import DEPLOYMENTS, READ_MODELS
from tests.conftest import Database, Running
from tests.kernel.client import Attempt, append
from tests.kernel.conftest import Kernel
from tests.kernel.test_append import schedule
from tests.kernel.test_read_models import Poisoned, project, versions
from tests.kernel.test_retold import check, spoil
from tests.queue.conftest import Queue


async def run(database: Database, *arguments: str) -> tuple[int, str, str]:
    """`rollbook rebuild` as a process of its own: how it ended and what it printed."""
    command = [str(Path(sys.executable).parent / "rollbook"), "rebuild", *arguments]
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database.app_url, "COLUMNS": "200"}
    running = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(running.communicate(), 60)
    finally:
        with suppress(ProcessLookupError):
            running.kill()
    return int(running.returncode or 0), out.decode(), err.decode()


async def test_everything_is_rebuilt_while_it_serves(rollbook: Running, database: Database) -> None:
    queue, ended = Queue(rollbook.client), asyncio.Event()

    async def use() -> int:
        made = 0
        while not ended.is_set():
            made += 1
            await queue.live(str(made))
            rows = await queue.ask("GET", "/v1/deployments", params={"limit": 1})
            assert (rows[0]["version"], rows[0]["status"]) == (str(made), "deployed")
        return made

    using = asyncio.create_task(use())
    for _ in range(2):
        code, out, err = await run(database, "--json")
        assert code == 0, err
        told = json.loads(out)
        assert [one["read_model"] for one in told] == [model.name for model in READ_MODELS]
        assert all(one["events"] > 0 and one["events_per_second"] > 0 for one in told)
    ended.set()
    assert await using > 3
    check(database.admin_url)


async def test_one_read_model_is_rebuilt_with_a_bar_and_a_rate(rollbook: Running, database: Database) -> None:
    queue = Queue(rollbook.client)
    await queue.live("1")
    await queue.ask("GET", "/v1/lanes")
    spoil(database.admin_url)
    code, out, err = await run(database, "lanes")
    assert (code, out) == (0, "")
    assert "events/s" in err
    assert "lanes" in err
    with pytest.raises(AssertionError, match="deployments"):
        check(database.admin_url)
    assert (await run(database))[0] == 0
    check(database.admin_url)


async def test_what_is_no_read_model_is_a_misuse_that_names_those_that_are(database: Database) -> None:
    code, _, err = await run(database, "people")
    assert code == 2
    assert all(model.name in err for model in READ_MODELS)


async def test_a_rebuild_brings_nobody_back_who_was_erased(rollbook: Running, database: Database) -> None:
    queue = Queue(rollbook.client)
    await queue.create("1")
    with psycopg.connect(database.admin_url) as admin:
        people = admin.execute("select organisation, actor_id from rollbook.people").fetchall()
    for organisation, actor_id in people:
        await rollbook.app.people.erase(organisation, UUID(str(actor_id)))
    assert (await run(database))[0] == 0
    assert [d["created_by_actor"] for d in await queue.ask("GET", "/v1/deployments")] == ["erased"]
    check(database.admin_url)


async def test_a_fault_of_ours_parks_the_same_stream_again(kernel: Kernel, database: Database) -> None:
    model = Poisoned()
    bad, good = [(await kernel.run(schedule_deployment, schedule())).resource for _ in range(2)]
    for one in (bad, good):
        await kernel.run(update_deployment, UpdateDeployment(one, Status.FAILED if one == bad else Status.DEPLOYED))
    await kernel.run(update_deployment, UpdateDeployment(bad, Status.DEPLOYED))
    projected = await project(kernel, database.app_url, 2, (model,))
    before = versions(database, model), parked(database)
    assert [row[:2] for row in before[1]] == [("poisoned_v1", f"deployment-{bad}")]
    await rebuild(kernel.pools, projected.log, model, lambda position, head: None)
    assert (versions(database, model), parked(database)) == before


def parked(database: Database) -> list[tuple[object, ...]]:
    """All parked streams."""
    with psycopg.connect(database.admin_url) as admin:
        return admin.execute("select * from rollbook_views.parked_streams").fetchall()


async def test_what_a_newer_release_wrote_stops_a_rebuild_and_what_serves_stays(
    kernel: Kernel, database: Database
) -> None:
    await kernel.run(schedule_deployment, schedule())
    projected = await project(kernel, database.app_url, 10)
    before = versions(database, DEPLOYMENTS)
    with psycopg.connect(database.app_url) as client:
        client.execute("set role rollbook_writer")
        append(client, Attempt([("balloon-1", 1)], topic="balloon.risen"))
    with pytest.raises(codec.UnknownEvent):
        await rebuild(kernel.pools, projected.log, DEPLOYMENTS, lambda position, head: None)
    assert versions(database, DEPLOYMENTS) == before
    code, _, err = await run(database, "deployments")
    assert code == 5
    assert "balloon.risen" in err
    assert "Traceback" not in err


async def test_one_read_model_is_rebuilt_by_one_process_at_a_time(kernel: Kernel, database: Database) -> None:
    await kernel.run(schedule_deployment, schedule())
    projected = await project(kernel, database.app_url, 10)
    with psycopg.connect(database.app_url) as another:
        another.execute("select pg_advisory_xact_lock(%s, hashtext(%s))", [LEADERS, f"{table(DEPLOYMENTS)}_shadow"])
        with pytest.raises(Clash):
            await rebuild(kernel.pools, projected.log, DEPLOYMENTS, lambda position, head: None)
        assert (await run(database, "deployments"))[0] != 0
        assert (await run(database, "lanes"))[0] == 0
    for _ in range(2):
        await rebuild(kernel.pools, projected.log, DEPLOYMENTS, lambda position, head: None)
    check(database.admin_url)
