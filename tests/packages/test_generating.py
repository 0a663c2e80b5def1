"""Jobs make files of packages, over HTTP: the same bytes as at once, kept until somebody fetches them."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from adapters.blobs.store import Blobs
from adapters.packages.files import write_json
from domain.package import Package
from entrypoints.workers.sweeping import Sweeping
from tests.cli.stand_in import Ended, rollbook
from tests.packages.made import INFO, packed, whole
from tests.packages.market import Market
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def asked(market: Market, package: str, expect: int = 202, **body: Any) -> Any:
    """What is answered to who does not want to wait."""
    return await market.ask("POST", f"/packages/{package}/generate", expect, json={"background": True, **body})


async def ended(market: Market, job: str) -> Any:
    """The job, once nobody works on it any more."""
    async with asyncio.timeout(30):
        while (found := await market.ask("GET", f"/jobs/{job}"))["completed_at"] is None:
            await market.app.log.wait_beyond(market.app.log.seen)
    return found


async def generated(market: Market, package: str, **body: Any) -> Any:
    """A job that made a file."""
    found = await ended(market, (await asked(market, package, **body))["job_id"])
    assert found["status"] == "completed", found
    return found


async def exports(market: Market, package: str) -> list[dict[str, Any]]:
    """The exports in a package's history, newest first."""
    found = (await market.ask("GET", f"/packages/{package}/actions"))["actions"]
    return [one for one in found if one["actiontype"] == "export"]


@pytest.mark.parametrize("format", ["zip", "json", "bundle"])
async def test_a_job_makes_the_file_that_is_answered_at_once(market: Market, format: str) -> None:
    package = await market.made()
    wanted = {"format": format, "tables": ["orders"], "where_clause": {"orders": "amount > 1"}}
    at_once = await market.send("POST", f"/packages/{package}/generate", json=wanted)
    job = await generated(market, package, **wanted)
    fetched = await market.send("GET", f"/jobs/{job['job_id']}/file")
    assert fetched.content == at_once.content
    for header in ("content-type", "content-disposition"):
        assert fetched.headers[header] == at_once.headers[header]
    assert fetched.headers["content-length"] == str(len(fetched.content))


async def test_the_job_says_where_its_file_is_and_what_it_is(market: Market) -> None:
    package = await market.made()
    told = await asked(market, package, format="zip")
    assert (told["status"], told["job_id"][:9]) == ("scheduled", "generate-")
    job = await ended(market, told["job_id"])
    assert (job["handler"], job["job_type"]) == ("PACKAGE_GENERATION", "package_generation")
    assert (job["job_data"]["package_id"], job["job_data"]["format"]) == (package, "zip")
    result = job["result"]
    content = (await market.send("GET", result["package_data"].removeprefix("/api"))).content
    assert (result["size_bytes"], result["checksum"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (result["format"], result["file_name"]) == ("zip", "customer-data-v1.0.0.zip")
    (action,) = await exports(market, package)
    assert (action["id"].rpartition("action-")[2], action["actionstatus"]) == (result["action_id"], "completed")
    assert (action["recordsprocessed"], action["tablesprocessed"], action["performedby"]) == (
        6,
        2,
        job["job_data"]["user"],
    )
    assert action["options"]["format"] == "zip"
    assert (job["progress"]["done"], job["progress"]["total"]) == (6, 6)


async def test_deploys_word_for_the_background_is_understood_too(market: Market) -> None:
    package = await market.made()
    body = {"format": "json", "run_as_background": True}
    assert (await market.ask("POST", f"/packages/{package}/generate", 202, json=body))["status"] == "scheduled"


async def test_one_key_is_one_job(market: Market) -> None:
    package, key = await market.made(), {"Idempotency-Key": own_organisation()}
    body = {"background": True, "format": "json"}
    first, second = [
        await market.ask("POST", f"/packages/{package}/generate", 202, json=body, headers=key) for _ in range(2)
    ]
    assert first == second
    await ended(market, first["job_id"])
    assert len(await exports(market, package)) == 1


async def test_what_makes_no_sense_is_refused_at_once_and_remembered(market: Market) -> None:
    package = await market.made()
    refused = await asked(market, package, 400, where_clause={"orders": "amount > nothing"})
    assert "nothing" in refused["error"]
    (failed,) = await exports(market, package)
    assert (failed["actionstatus"], failed["errorlog"]) == ("failed", [refused["error"]])
    await asked(market, "pkg-0b43851b-b109-4028-ba79-2e49c6138dbc", 404)


async def test_a_file_that_cannot_be_made_is_a_failed_action_and_no_file(market: Market) -> None:
    package = await market.made()
    await lose_parts(market, package)
    job = await ended(market, (await asked(market, package))["job_id"])
    (failed,) = await exports(market, package)
    assert (job["status"], failed["actionstatus"], failed["errorlog"]) == ("failed", "failed", [job["last_error"]])
    assert failed["startedat"] is not None
    await market.ask("GET", f"/jobs/{job['job_id']}/file", 404)
    refused = await market.ask("POST", f"/jobs/{job['job_id']}/retry", 409)
    assert "anew" in refused["error"]


async def lose_parts(market: Market, package: str) -> None:
    """The rows of a package are gone."""
    held = await market.app.executor.look(market.organisation, Package, UUID(package.removeprefix("pkg-")))
    assert held is not None
    manifest = await market.app.packages.manifest(held.contents().manifest)
    for one in manifest.tables:
        await market.app.packages.store.delete(one.part.blob)


async def test_a_job_of_another_kind_has_no_file(market: Market) -> None:
    package = await market.made()
    await market.ask("GET", f"/jobs/{package.replace('pkg', 'pack')}/file", 404)
    await market.ask("GET", "/jobs/generate-0b43851b-b109-4028-ba79-2e49c6138dbc/file", 404)


async def test_nobody_else_gets_the_file(market: Market) -> None:
    job = (await generated(market, await market.made()))["job_id"]
    theirs = {"X-Organisation": own_organisation()}
    await market.ask("GET", f"/jobs/{job}/file", 404, headers=theirs)


async def test_a_file_is_kept_for_some_days_and_then_gone(market: Market) -> None:
    job = (await generated(market, await market.made()))["job_id"]
    sweeping, kept = Sweeping(market.app), timedelta(days=market.app.settings.job_file_days)
    await sweeping.sweep(datetime.now(UTC) + kept - timedelta(hours=1))
    await market.send("GET", f"/jobs/{job}/file")
    assert await sweeping.sweep(datetime.now(UTC) + kept + timedelta(hours=1)) > 0
    gone = await market.send("GET", f"/jobs/{job}/file", 410)
    assert (gone.headers["x-error-code"], "anew" in gone.json()["error"]) == ("GONE", True)


async def test_a_file_is_not_there_before_its_job_has_ended(idle: Market, store: Blobs) -> None:
    market, headers = idle, {"content-type": "application/json"}
    document = await whole(write_json(await packed(store), INFO, store))
    package = (await market.ask("POST", "/packages/import", 201, content=document, headers=headers))["package"]["id"]
    job = (await asked(market, package))["job_id"]
    await market.ask("GET", f"/jobs/{job}/file", 409)
    assert [one["actionstatus"] for one in await exports(market, package)] == ["pending"]
    await market.ask("POST", f"/jobs/{job}/cancel", json={"reason": "too early"})
    (failed,) = await exports(market, package)
    assert (failed["actionstatus"], failed["errorlog"]) == ("failed", ["too early"])
    await market.ask("GET", f"/jobs/{job}/file", 404)


async def told(market: Market, *arguments: str, code: int = 0) -> Ended:
    """How a command ended."""
    where = {"API_URL": market.rollbook.url, "ORG": market.organisation}
    ended = await asyncio.to_thread(rollbook, *arguments, **where)
    assert ended.code == code, ended
    return ended


async def test_the_command_line_prints_the_job_and_fetches_its_file(market: Market, tmp_path: Path) -> None:
    package, file = await market.made(), tmp_path / "made.json"
    export = ("package", "export", package, "--format", "json", "-t", "orders", "--background")
    job = json.loads((await told(market, *export, "--json")).out)["job_id"]
    await told(market, "job", "watch", job)
    fetched = json.loads((await told(market, "job", "file", job, "-o", str(file), "--json")).out)
    assert fetched == {"file": str(file), "bytes": file.stat().st_size}
    assert [table["table_name"] for table in json.loads(file.read_bytes())["database_data"]["tables"]] == ["orders"]
    assert "Generation job created: generate-" in (await told(market, *export)).err
    assert "job file" in (await told(market, *export, "-o", str(file), code=2)).err
    assert "no file" in (await told(market, "job", "file", package.replace("pkg", "pack"), code=4)).err
    watched = (await told(market, "job", "watch", package.replace("pkg", "pack"))).out
    assert "6 of 6 rows" in watched
