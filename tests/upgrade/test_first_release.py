"""A database as the first release left it is brought up to date by a start, and loses nothing of what it told."""

import json
import re
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from adapters.embedded.programs import HOME, POSTGRES
from adapters.postgres.migrations import migrate
from adapters.postgres.retirement import retire
from projections.read_model import table
from projections.registry import READ_MODELS
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.kernel.chain import stored, verify

HERE = Path(__file__).parent
LEFT = HERE / "first_release.sql"
ACME = {"X-Organisation": "acme"}
TOLD: dict[str, list[dict[str, Any]]] = json.loads((HERE / "first_release.json").read_text())
# The key under which its logins were sealed.
MASTER_KEY = b64encode(b"k" * 32).decode()


@pytest.fixture
def left_behind(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """What the first release left; its roles are those of the server, which the template brought."""
    name = "first_release"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} owner rollbook_owner".encode())
    urls = {
        role: make_conninfo(postgres.url(role), dbname=name) for role in ("rollbook_owner", "rollbook_app", "postgres")
    }
    with psycopg.connect(urls["postgres"]) as admin:
        admin.execute(LEFT.read_bytes())
    yield Database(name, urls["rollbook_owner"], urls["rollbook_app"], urls["postgres"])
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
async def upgraded(left_behind: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """This release, started on it."""
    await migrate(left_behind.owner_url, "rollbook_app")
    async with running_rollbook(settings_for(tmp_path, master_key=MASTER_KEY), left_behind) as running:
        yield running


async def listed(running: Running, **query: str) -> list[dict[str, Any]]:
    """All deployments of the organisation."""
    answer = await running.client.get("/v1/deployments", params={"limit": "100", **query}, headers=ACME)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_it_answers_as_before_now_and_of_the_past(upgraded: Running) -> None:
    for position, query in (("now", {}), ("9", {"as_of": "9"})):
        answers = await listed(upgraded, **query)
        assert len(answers) == len(TOLD[position])
        for before, after in zip(TOLD[position], answers, strict=True):
            assert before.items() <= after.items()


async def test_what_is_recorded_since_goes_on_where_it_stopped(upgraded: Running, left_behind: Database) -> None:
    waiting = next(row for row in TOLD["now"] if row["status"] == "scheduled")
    path = f"/v1/deployments/{waiting['id']}"
    answer = await upgraded.client.patch(path, json={"status": "deployed"}, headers=ACME)
    assert (answer.status_code, answer.json()["version_number"]) == (200, waiting["version_number"] + 1)
    history = (await upgraded.client.get(f"{path}/history", headers=ACME)).json()["entries"]
    assert [entry["actor"] for entry in history] == ["local-dev"] * 3
    verify(stored(left_behind.admin_url))


async def test_its_read_models_stay_for_its_processes_and_go_when_these_are_gone(upgraded: Running) -> None:
    await listed(upgraded)
    pools, firsts = upgraded.app.pools, set(re.findall(r"TABLE rollbook_views\.(\w+_v1) ", LEFT.read_text()))
    assert {f"{name}_v1" for name in ("deployments", "lanes", "freezes", "tokens")} == firsts
    assert firsts.isdisjoint(map(table, READ_MODELS))
    assert await retire(pools, READ_MODELS, 3600) == []
    assert set(await retire(pools, READ_MODELS, 0)) == firsts
    assert len(await listed(upgraded)) == len(TOLD["now"])


async def test_its_schema_becomes_that_of_a_new_database(left_behind: Database, database: Database) -> None:
    await migrate(left_behind.owner_url, "rollbook_app")
    assert schema(left_behind) == schema(database)


def schema(database: Database) -> list[str]:
    """All that makes the log, but for what differs in the telling."""
    program = str(POSTGRES.root / HOME / "bin" / "pg_dump")
    asked = [program, "--schema-only", "--schema=rollbook", database.admin_url]
    told = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout
    return [line for line in told.splitlines() if not line.startswith("\\")]
