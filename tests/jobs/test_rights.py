"""Keys of rows and logs are data: who may not read packages' rows sees neither."""

import asyncio
from pathlib import Path
from typing import Any

from adapters.embedded.nats import EmbeddedNats
from application.caller import Role
from application.handlers import Attempt, Handler
from entrypoints.operator import Operator
from tests.conftest import Database, running_rollbook, settings_for
from tests.identity.world import bearer, has_tables
from tests.jobs.conftest import Jobs

DEPLOYED = {"tables": {"customers": {"new": 1}}, "mapped": {"customers": 1}}
# The digest is of all keys: where they are few, somebody could guess them.
OF_ROWS = {"keys": {"customers": {"1": "1001"}}, "kept": "5f" * 32}


async def deploy(attempt: Attempt) -> dict[str, Any]:
    """Deploys a row."""
    return {"deployed": {**DEPLOYED, **OF_ROWS}}


async def test_keys_are_shown_to_who_may_read_rows_and_never_in_lists(
    database: Database, tmp_path: Path, nats_server: EmbeddedNats
) -> None:
    async with running_rollbook(settings_for(tmp_path, auth_enabled=True), database) as rollbook:
        async with asyncio.timeout(20):
            while not await has_tables(rollbook):
                await asyncio.sleep(0.01)
        jobs = Jobs(rollbook.app, nats_server.url)
        jobs.handle(Handler("DEPLOY", "deployment", "deploy", deploy))
        jobs.dispatch()
        jobs.work()
        job = await jobs.ask("DEPLOY")
        await jobs.until(job, "completed")
        told: dict[Role, Any] = {}
        for role in (Role.VIEWER, Role.DEPLOYER):
            token = (await Operator(rollbook.app).issue_token("acme", role, role, None))["token"]
            answers = [
                (await rollbook.client.get(f"/api/jobs{path}", headers=bearer(token)))
                for path in (f"/deploy-{job}", "", f"/deploy-{job}/logs")
            ]
            one, listed = (answered.json() for answered in answers[:2])
            assert listed["jobs"][0]["result"] == {"deployed": DEPLOYED}
            told[role] = (one["result"]["deployed"], answers[2].status_code)
        jobs.stop.set()
        await asyncio.wait_for(asyncio.gather(*jobs.tasks), 20)
    assert told == {Role.VIEWER: (DEPLOYED, 403), Role.DEPLOYER: (DEPLOYED | OF_ROWS, 200)}
