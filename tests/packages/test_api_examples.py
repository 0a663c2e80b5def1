"""The three workflows of the document run as they are printed, but for host, port and ids."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.packages.market import Market

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
CREATE = """curl -X POST "http://localhost:8080/api/packages" \\
  -H "Content-Type: application/json" \\
  -d '{
    "name": "customer-data",
    "version": "1.0.0",
    "package_type": "database",
    "environment": "dev",
    "filter": {
      "tables": ["customers", "orders"],
      "where_clause": {
        "customers": "created_date >= '\\''2025-01-01'\\''"
      }
    }
  }' | jq"""
ZIP = """curl -X POST "http://localhost:8080/api/packages/pkg-123/generate" \\
  -H "Content-Type: application/json" \\
  -d '{"format": "zip"}' \\
  --output customer-data-v1.0.0.zip"""
DEPLOY = """curl -X POST "http://localhost:8080/api/packages/pkg-123/deploy" \\
  -H "Content-Type: application/json" \\
  -d '{
    "environment": "staging",
    "options": {
      "skip_existing": true,
      "validate_references": true,
      "batch_size": 100
    }
  }' | jq"""
ACTIONS = """curl -X GET "http://localhost:8080/api/packages/pkg-123/actions?limit=1" | jq"""
SCHEDULE = """curl -X POST "http://localhost:8080/api/packages/pkg-123/deploy" \\
  -H "Content-Type: application/json" \\
  -d '{
    "environment": "production",
    "run_as_background": true,
    "schedule_at": "2025-11-19T00:00:00Z",
    "options": {
      "skip_existing": true,
      "batch_size": 100
    }
  }' | jq"""
JOB = """curl -X GET "http://localhost:8080/api/jobs/deploy-pkg123-1732003200" | jq"""
LISTED = """curl -X GET "http://localhost:8080/api/deployments?environment=production&is_active=true" | jq"""
EXPORT = """curl -X POST "http://source-server/api/packages/pkg-456/generate" \\
  -H "Content-Type: application/json" \\
  -d '{"format": "json"}' \\
  --output package.json"""
IMPORT = """curl -X POST "http://target-server/api/packages/import" \\
  -H "Content-Type: application/json" \\
  -d "{\\"package_data\\": $(cat package.json), \\"environment\\": \\"staging\\"}" | jq"""
DEPLOY_IMPORTED = """curl -X POST "http://target-server/api/packages/pkg-789/deploy" \\
  -H "Content-Type: application/json" \\
  -d '{
    "environment": "staging",
    "options": {
      "skip_existing": false,
      "update_existing": true,
      "validate_references": true
    }
  }' | jq"""


class Shell:
    """Runs what is printed, in a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    async def run(self, printed: str, **ids: str) -> Any:
        """What the command prints, as JSON; `ids` are ours in the place of those that are printed."""
        command = re.sub(r"http://(localhost:8080|source-server|target-server)", self.url, printed)
        for name, ours in ids.items():
            command = command.replace(name.replace("_", "-"), ours)
        command = command.removesuffix(" | jq").replace("curl ", "curl --silent --show-error ")
        around = {"PATH": os.environ["PATH"], "NO_PROXY": "*"}
        running = await asyncio.create_subprocess_exec(
            "bash", "-c", command, cwd=self.folder, env=around, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(running.communicate(), 60)
        assert running.returncode == 0
        return json.loads(out) if out else None


@pytest.fixture
def market(alone: Market) -> Market:
    """Whoever says no organisation has the one that is there without saying, which others have too."""
    return alone


@pytest.fixture
def shell(market: Market, tmp_path: Path) -> Shell:
    """Whoever types the examples in; the operator gave them three environments."""
    staging = market.app.environments.configured[None, "staging"]
    market.app.environments.configured[None, "production"] = staging
    return Shell(market.rollbook.url, tmp_path)


async def test_example_1_creates_and_deploys_a_database_package(shell: Shell, market: Market) -> None:
    package = (await shell.run(CREATE))["package"]["id"]
    await shell.run(ZIP, pkg_123=package)
    assert (shell.folder / "customer-data-v1.0.0.zip").read_bytes().startswith(b"PK")
    deployed = await shell.run(DEPLOY, pkg_123=package)
    assert deployed["message"] == "Package deployed successfully"
    assert deployed["deployment"]["pk_mapping_result"]["customers"].keys() == {"2", "3"}
    told = await shell.run(ACTIONS, pkg_123=package)
    assert (told["count"], told["actions"][0]["actiontype"]) == (1, "deploy")
    assert told["actions"][0]["actionstatus"] == "completed"
    sold = "select c.name, o.amount::text from orders o join customers c on c.id = o.customer_id order by o.id"
    assert market.sql(sold, market.staging) == [("Bob", "12.50"), ("Cid", "0.10"), ("Cid", "99999999.99")]


async def test_example_2_schedules_a_background_deployment(shell: Shell, market: Market) -> None:
    package = (await shell.run(CREATE))["package"]["id"]
    scheduled = await shell.run(SCHEDULE, pkg_123=package)
    assert scheduled.keys() == {"message", "job_id", "status"}
    assert scheduled["status"] == "scheduled"
    job = {"status": "queued"}
    async with asyncio.timeout(30):
        while job["status"] not in ("completed", "failed"):
            await market.app.log.wait_beyond(await market.app.log.head())
            job = await shell.run(JOB, **{"deploy-pkg123-1732003200": scheduled["job_id"]})
    assert (job["status"], job["job_type"]) == ("completed", "package_deployment")
    listed = await shell.run(LISTED)
    assert (listed["count"], listed["deployments"][0]["packageid"]) == (1, package)


async def test_example_3_imports_and_deploys_a_package_from_another_system(shell: Shell, market: Market) -> None:
    package = (await shell.run(CREATE))["package"]["id"]
    await shell.run(EXPORT, pkg_456=package)
    await market.ask("DELETE", f"/packages/{package}", headers={"X-Organisation": "local-dev"})
    imported = (await shell.run(IMPORT))["package"]["id"]
    deployed = await shell.run(DEPLOY_IMPORTED, pkg_789=imported)
    assert deployed["deployment"]["status"] == "completed"
    assert market.sql("select count(*) from orders", market.staging) == [(3,)]
