"""What is counted of a running Rollbook, and that nobody outside can make more series of it than there may be."""

import asyncio
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from adapters import metrics
from tests.conftest import Database, Running
from tests.management.scrape import scrape
from tests.queue.conftest import Queue

BODY = {"name": "shop", "version": "1", "provider": "gcp", "environment": "production", "type": "k8s"}
ROOT = Path(__file__).parent.parent.parent
COUNT_TWICE = """
from pathlib import Path
from adapters.settings import Settings
from entrypoints.cli.servers import share_metrics
share_metrics(Settings(prometheus_multiproc_dir=Path("shared")))
from adapters import metrics
metrics.CONFLICTS.inc(2)
metrics.PROJECTION_LAG.set(7)
from entrypoints.http.management import registry
from prometheus_client import generate_latest
print(generate_latest(registry()).decode())
"""


@pytest.fixture
def organisation() -> str:
    """One that no other test has counted."""
    return f"counted-{uuid4().hex[:8]}"


@pytest.fixture
def queue(rollbook: Running, organisation: str) -> Queue:
    """The queue of that organisation."""
    rollbook.client.headers["X-Organisation"] = organisation
    return Queue(rollbook.client)


async def counted(running: Running, name: str, **labels: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric with these labels, by the values of the other labels."""
    return {
        tuple(v for k, v in sorted(s.labels.items()) if k not in labels): s.value
        for s in await scrape(running)
        if s.name == name and labels.items() <= s.labels.items()
    }


async def test_the_queue_is_counted_in_the_words_of_its_contract(
    rollbook: Running, queue: Queue, organisation: str
) -> None:
    ask = rollbook.client.request
    first, _, third = [(await ask("POST", "/v1/deployments", json=BODY)).json()["id"] for _ in range(3)]
    for one in (first, third):
        assert (await ask("PATCH", f"/v1/deployments/{one}", json={"status": "deployed"})).status_code == 200
    assert (await ask("POST", f"/v1/deployments/{third}/rollback")).status_code == 201
    of = {"organisation": organisation}
    assert await counted(rollbook, "deployments_created_total", **of) == {
        ("production", "gcp", "auto"): 3,
        ("production", "gcp", "rollback"): 1,
    }
    assert await counted(rollbook, "deployments_updated_total", **of) == {("deployed",): 2}
    assert await counted(rollbook, "deployments_skipped_total", **of) == {(): 1}
    assert await counted(rollbook, "rollbacks_total", **of) == {("gcp",): 1}


async def test_a_repeated_command_is_counted_once(rollbook: Running, queue: Queue, organisation: str) -> None:
    for _ in range(3):
        key = {"Idempotency-Key": "same"}
        assert (await rollbook.client.post("/v1/deployments", json=BODY, headers=key)).status_code == 201
    assert await counted(rollbook, "deployments_created_total", organisation=organisation) == {
        ("production", "gcp", "auto"): 1
    }


async def test_requests_and_attempts_to_authenticate_are_counted_by_route(rollbook: Running, queue: Queue) -> None:
    route = {"method": "GET", "endpoint": "/v1/deployments/{deployment_id}", "status_code": "404"}
    before = await counted(rollbook, "http_requests_total", **route)
    assert (await rollbook.client.get(f"/v1/deployments/{uuid4()}")).status_code == 404
    after = await counted(rollbook, "http_requests_total", **route)
    assert after[()] == before.get((), 0) + 1
    assert await counted(rollbook, "http_request_duration_seconds_count", **without(route, "status_code"))
    assert await counted(rollbook, "auth_requests_total", success="true")


def without(labels: dict[str, str], name: str) -> dict[str, str]:
    """The labels but for one."""
    return {key: value for key, value in labels.items() if key != name}


async def test_the_state_of_the_store_is_measured_at_each_scrape(rollbook: Running, queue: Queue) -> None:
    ask = rollbook.client.request
    assert await counted(rollbook, "rollbook_queue_age_seconds") == {(): 0}
    waiting = (await ask("POST", "/v1/deployments", json=BODY)).json()["id"]
    assert (await ask("GET", "/v1/deployments")).status_code == 200
    assert (await counted(rollbook, "rollbook_queue_age_seconds"))[()] > 0
    assert await counted(rollbook, "rollbook_store_up") == {(): 1}
    assert await counted(rollbook, "rollbook_projection_lag_events") == {(): 0}
    assert await counted(rollbook, "rollbook_projection_position") == {(): 3}
    assert await counted(rollbook, "rollbook_parked_streams") == {(): 0}
    assert (await ask("PATCH", f"/v1/deployments/{waiting}", json={"status": "cancelled"})).status_code == 200
    assert (await ask("GET", "/v1/deployments")).status_code == 200
    assert await counted(rollbook, "rollbook_queue_age_seconds") == {(): 0}


async def test_a_store_that_does_not_answer_is_told_and_so_is_its_return(rollbook: Running, database: Database) -> None:
    with psycopg.connect(database.admin_url.replace(f"dbname={database.name}", "dbname=postgres")) as admin:
        admin.autocommit = True
        admin.execute(f"alter database {database.name} allow_connections false".encode())
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database.name])
        assert await counted(rollbook, "rollbook_store_up") == {(): 0}
        admin.execute(f"alter database {database.name} allow_connections true".encode())
        async with asyncio.timeout(20):
            while await counted(rollbook, "rollbook_store_up") != {(): 1}:
                await asyncio.sleep(0.1)


async def test_hostile_requests_make_no_series(rollbook: Running) -> None:
    async def send(number: int) -> None:
        method, path = f"M{number}", f"/v1/deployments/{number}/{uuid4()}?x={number}"
        headers = {"X-Organisation": f"stranger-{number}", "User-Agent": f"agent-{number}"}
        assert (await rollbook.client.request(method, path, headers=headers)).status_code >= 400
        assert (await rollbook.client.get(path, headers=headers)).status_code >= 400

    await send(0)
    before = len(await scrape(rollbook))
    for number in range(1, 30):
        await send(number)
    assert len(await scrape(rollbook)) == before


async def test_one_organisation_takes_a_few_environments_only(
    rollbook: Running, queue: Queue, organisation: str
) -> None:
    for number in range(metrics.ENVIRONMENTS + 5):
        body = {**BODY, "environment": f'hostile"}} {number}\\'}
        assert (await rollbook.client.post("/v1/deployments", json=body)).status_code == 201
    found = await counted(rollbook, "deployments_created_total", organisation=organisation)
    assert len(found) == metrics.ENVIRONMENTS + 1
    assert found["other", "gcp", "auto"] == 5
    assert found['hostile"} 0\\', "gcp", "auto"] == 1


@pytest.fixture
def nothing_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process that has just started."""
    monkeypatch.setattr(metrics, "_seen", {})


@pytest.mark.usefixtures("nothing_seen")
def test_all_organisations_together_take_not_more_than_there_is_room_for() -> None:
    made = {metrics.place(f"org-{o}", "gcp", f"env-{e}") for o in range(2000) for e in range(30)}
    assert len({organisation for organisation, _, _ in made}) == metrics.ORGANISATIONS + 1
    assert len(made) <= metrics.PLACES + metrics.ORGANISATIONS + 1
    assert metrics.organisation("org-7") == "org-7"
    assert metrics.organisation("one more") == metrics.OTHER


def test_processes_that_share_a_folder_are_summed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    environment = {"PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": ""}
    for told in (2, 4):
        ended = subprocess.run(
            [sys.executable, "-c", COUNT_TWICE], env=environment, cwd=tmp_path, capture_output=True, timeout=60
        )
        assert f"rollbook_conflicts_total {told}.0" in ended.stdout.decode(), ended.stderr.decode()
        assert "rollbook_projection_lag_events 7.0" in ended.stdout.decode()
