"""The workflow examples of the packages document, with curl as they are printed: only host, port and ids differ."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from tests.conftest import Database, fresh_database, running_rollbook, settings_for
from tests.databases.conftest import made
from tests.deployments.conftest import Shop, entries, rows, run

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
SCHEMA = """
create table customers (id int generated always as identity primary key, name text, created_date date);
create table orders (id int generated always as identity primary key, customer int not null references customers,
                     order_date date);
"""
ROWS = """
insert into customers (name, created_date) values ('Old', '2024-05-05'), ('Ann', '2025-03-01'), ('Bob', '2025-04-01');
insert into orders (customer, order_date) values (2, '2025-03-02'), (2, '2025-03-03'), (3, '2025-04-02');
"""
SALES = "select c.name, o.order_date::text from orders o join customers c on c.id = o.customer order by 1, 2"
SOLD = [("Ann", "2025-03-02"), ("Ann", "2025-03-03"), ("Bob", "2025-04-02")]
CREATE = r"""
curl -X POST "http://localhost:8080/api/packages" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "customer-data",
    "version": "1.0.0",
    "package_type": "database",
    "environment": "dev",
    "filter": {
      "tables": ["customers", "orders"],
      "where_clause": {
        "customers": "created_date >= '\''2025-01-01'\''"
      }
    }
  }' | jq
"""
GENERATE = r"""
curl -X POST "http://localhost:8080/api/packages/pkg-123/generate" \
  -H "Content-Type: application/json" \
  -d '{"format": "zip"}' \
  --output customer-data-v1.0.0.zip
"""
DEPLOY = r"""
curl -X POST "http://localhost:8080/api/packages/pkg-123/deploy" \
  -H "Content-Type: application/json" \
  -d '{
    "environment": "staging",
    "options": {
      "skip_existing": true,
      "validate_references": true,
      "batch_size": 100
    }
  }' | jq
"""
ACTIONS = r"""
curl -X GET "http://localhost:8080/api/packages/pkg-123/actions?limit=1" | jq
"""
SCHEDULE = r"""
curl -X POST "http://localhost:8080/api/packages/pkg-123/deploy" \
  -H "Content-Type: application/json" \
  -d '{
    "environment": "production",
    "run_as_background": true,
    "schedule_at": "2025-11-19T00:00:00Z",
    "options": {
      "skip_existing": true,
      "batch_size": 100
    }
  }' | jq
"""
MONITOR = r"""
curl -X GET "http://localhost:8080/api/jobs/deploy-pkg123-1732003200" | jq
"""
CHECK = r"""
curl -X GET "http://localhost:8080/api/deployments?environment=production&is_active=true" | jq
"""
EXPORT = r"""
curl -X POST "http://source-server/api/packages/pkg-456/generate" \
  -H "Content-Type: application/json" \
  -d '{"format": "json"}' \
  --output package.json
"""
IMPORT = r"""
curl -X POST "http://target-server/api/packages/import" \
  -H "Content-Type: application/json" \
  -d "{\"package_data\": $(cat package.json), \"environment\": \"staging\"}" | jq
"""
DEPLOY_IMPORTED = r"""
curl -X POST "http://target-server/api/packages/pkg-789/deploy" \
  -H "Content-Type: application/json" \
  -d '{
    "environment": "staging",
    "options": {
      "skip_existing": false,
      "update_existing": true,
      "validate_references": true
    }
  }' | jq
"""


@dataclass
class Terminal:
    """A shell in a folder; what is printed in the document stands for what it is here."""

    folder: Path
    stands_for: dict[str, str]

    async def type(self, command: str) -> Any:
        """What the command writes, if it is JSON."""
        for printed, here in self.stands_for.items():
            command = command.replace(printed, here)
        if shutil.which("jq") is None:
            command = command.replace("| jq", "")
        child = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", command, cwd=self.folder, stdout=asyncio.subprocess.PIPE
        )
        written, _ = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode == 0
        return json.loads(written) if written else None


@pytest.fixture
def production(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A third database."""
    yield from made(postgres)


@pytest.fixture
async def shop(
    database: Database, tmp_path: Path, nats_server: EmbeddedNats, source: str, staging: str, production: str
) -> AsyncIterator[Shop]:
    """The same tables everywhere, rows in one place."""
    for dsn in (source, staging):
        run(dsn, "drop table orders, customers")
    for dsn in (source, staging, production):
        run(dsn, SCHEMA)
    run(source, ROWS)
    file = tmp_path / "environments.yaml"
    file.write_text(json.dumps(entries(dev=source, staging=staging, production=production)))
    async with running_rollbook(settings_for(tmp_path, environments_file=file), database) as running:
        found = Shop(running, nats_server.url, source, staging, running.app.settings.dev_organisation)
        found.begin()
        yield found
        await found.end()


@pytest.fixture
def terminal(shop: Shop, tmp_path: Path) -> Terminal:
    """Where a user types."""
    return Terminal(tmp_path, {"http://localhost:8080": shop.rollbook.url, "http://source-server": shop.rollbook.url})


async def test_example_1_creates_and_deploys(shop: Shop, terminal: Terminal) -> None:
    terminal.stands_for["pkg-123"] = (await terminal.type(CREATE))["package"]["id"]
    await terminal.type(GENERATE)
    assert (terminal.folder / "customer-data-v1.0.0.zip").read_bytes().startswith(b"PK")
    made = await terminal.type(DEPLOY)
    assert (made["message"], made["deployment"]["status"]) == ("Package deployed successfully", "completed")
    assert made["deployment"]["pk_mapping_result"]["customers"].keys() == {"2", "3"}
    (action,) = (await terminal.type(ACTIONS))["actions"]
    assert (action["actiontype"], action["actionstatus"], action["targetenvironment"]) == (
        "deploy",
        "completed",
        "staging",
    )
    assert (action["recordsprocessed"], action["recordssucceeded"], action["tablesprocessed"]) == (5, 5, 2)
    assert rows(shop.staging, SALES) == SOLD


async def test_example_2_schedules(shop: Shop, terminal: Terminal, production: str) -> None:
    terminal.stands_for["pkg-123"] = (await terminal.type(CREATE))["package"]["id"]
    told = await terminal.type(SCHEDULE)
    assert told == {"message": "Deployment job created", "job_id": told["job_id"], "status": "scheduled"}
    terminal.stands_for["deploy-pkg123-1732003200"] = told["job_id"]
    await shop.job(told["job_id"], "completed")
    job = await terminal.type(MONITOR)
    assert (job["job_type"], job["status"]) == ("package_deployment", "completed")
    assert job["job_data"]["package_id"] == terminal.stands_for["pkg-123"]
    (active,) = (await terminal.type(CHECK))["deployments"]
    assert (active["packageid"], active["status"]) == (terminal.stands_for["pkg-123"], "completed")
    assert rows(production, SALES) == SOLD


async def test_example_3_moves_a_package_to_another_system(
    shop: Shop, terminal: Terminal, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    terminal.stands_for["pkg-456"] = (await terminal.type(CREATE))["package"]["id"]
    await terminal.type(EXPORT)
    async with AsyncExitStack() as stack:
        database = stack.enter_context(fresh_database(postgres, template))
        file = shop.rollbook.app.settings.environments_file
        settings = settings_for(tmp_path / "other", environments_file=file)
        other = await stack.enter_async_context(running_rollbook(settings, database))
        theirs = Shop(other, shop.nats_url, shop.source, shop.staging, settings.dev_organisation)
        await shop.end()
        theirs.begin()
        stack.push_async_callback(theirs.end)
        terminal.stands_for["http://target-server"] = other.url
        imported = (await terminal.type(IMPORT))["package"]
        assert (imported["name"], imported["version"]) == ("customer-data", "1.0.0")
        terminal.stands_for["pkg-789"] = imported["id"]
        assert imported["id"] != terminal.stands_for["pkg-456"]
        made = (await terminal.type(DEPLOY_IMPORTED))["deployment"]
        assert (made["status"], made["package_id"]) == ("completed", imported["id"])
    assert rows(shop.staging, SALES) == SOLD
