"""What may not be deployed is refused by its kind, leaves nothing behind, and stays in the history."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.deployments.conftest import SOLD, Shop, entries, rows, run
from tests.sharing import environments_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = "select count(*) from customers"


async def test_a_package_goes_where_it_fits_or_the_answer_says_why_not(shop: Shop) -> None:
    package = await shop.pack()
    unknown = await shop.deploy(package, 404, to="nowhere")
    assert "nowhere" in unknown["error"]
    assert (await shop.deploy(f"pkg-{'0' * 8}-0000-4000-8000-{'0' * 12}", 404))["error"] == "Package not found"
    assert "dryrun" in (await shop.deploy(package, 400, dryrun=True))["error"]
    assert "schedule_at" in (await shop.deploy(package, 400, schedule_at="2025-11-18T23:00:00"))["error"]
    assert await shop.deployments() == []
    assert await shop.actions(package) == [("pack", "completed")]


async def test_a_failure_is_answered_by_its_kind_and_stays_in_the_history(shop: Shop) -> None:
    package = await shop.pack()
    run(shop.staging, "insert into customers (name) values ('Ann')")
    clash = await shop.deploy(package, 409, skip_existing=False)
    assert "customers" in clash["error"]
    run(shop.staging, "drop table orders")
    invalid = await shop.deploy(package, 400)
    assert "orders" in invalid["error"]
    assert rows(shop.staging, COUNT) == [(8,)]
    newest, oldest = await shop.deployments()
    assert (newest["status"], newest["errorlog"], oldest["errorlog"]) == (
        "failed",
        [invalid["error"]],
        [clash["error"]],
    )
    assert await shop.actions(package) == [("deploy", "failed"), ("deploy", "failed"), ("pack", "completed")]


async def test_a_manifest_that_somebody_changed_is_refused(alone: Shop) -> None:
    package = await alone.pack()
    for blob in blobs(alone):
        if b'"format_version"' in (held := blob.read_bytes()):
            blob.chmod(0o600)
            blob.write_bytes(held.replace(b"customers", b"customerz"))
    assert "damaged" in (await alone.deploy(package, 400))["error"]
    assert rows(alone.staging, COUNT) == [(7,)]


async def test_a_damaged_part_is_refused_and_nothing_of_it_stays(alone: Shop) -> None:
    package = await alone.pack()
    for part in blobs(alone):
        held = part.read_bytes()
        if held[:2] == b"\x1f\x8b":
            part.chmod(0o600)
            part.write_bytes(held[:-9] + bytes([held[-9] ^ 1]) + held[-8:])
    assert "damaged" in (await alone.deploy(package, 400))["error"]
    assert rows(alone.staging, COUNT) == [(7,)]


def blobs(shop: Shop) -> list[Path]:
    """What is kept of packages."""
    folder = shop.rollbook.app.settings.data_dir
    return [path for path in folder.rglob("kept/*/*") if path.is_file()]


async def test_nobody_else_sees_or_takes_back_a_deployment(shop: Shop) -> None:
    made = (await shop.deploy(await shop.pack()))["deployment"]
    shop.organisation = f"not-{shop.organisation}"
    assert await shop.deployments() == []
    for method, tail in (("GET", ""), ("GET", "/mappings"), ("GET", "/mappings/download"), ("POST", "/rollback")):
        facts: dict[str, Any] = {"json": {}} if method == "POST" else {}
        await shop.ask(method, f"/deployments/{made['id']}{tail}", 404, **facts)
    assert (await shop.deploy(made["package_id"], 404))["error"] == "Package not found"
    assert rows(shop.staging) == SOLD


async def test_packages_of_one_name_of_two_organisations_are_apart_in_one_database(shop: Shop, tmp_path: Path) -> None:
    made = (await shop.deploy(await shop.pack()))["deployment"]
    run(shop.staging, "alter table customers drop constraint customers_name_key")
    shop.organisation = f"not-{shop.organisation}"
    known = entries(source=shop.source, staging=shop.staging)
    with environments_of(shop.rollbook.app, shop.organisation, known, tmp_path):
        theirs = (await shop.deploy(await shop.pack()))["deployment"]
        assert theirs["tables"]["customers"]["new"] == made["tables"]["customers"]["new"] == 3
        await shop.roll_back(theirs["id"])
    assert rows(shop.staging, COUNT) == [(10,)]


async def test_a_package_that_nobody_signed_goes_nowhere_where_signatures_are_required(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await shop.pack()
    document = await shop.ask("POST", f"/packages/{own}/generate", json={"format": "json"})
    document |= {"name": "imported"}
    imported = (await shop.ask("POST", "/packages/import", 201, json={"package_data": document}))["package"]["id"]
    waiting = (await shop.deploy(imported, 202, schedule_at=in_seconds(3)))["job_id"]
    monkeypatch.setattr(shop.rollbook.app.settings, "require_signed_packages", True)
    assert "trusted key" in (await shop.deploy(imported, 400))["error"]
    assert "trusted key" in (await shop.job(waiting, "failed"))["last_error"]
    assert rows(shop.staging) == []
    await shop.deploy(own)


async def test_a_package_goes_to_databases_of_its_kind_alone(shop: Shop) -> None:
    package = await shop.pack()
    refused = await shop.deploy(package, 400, to="elsewhere")
    assert refused["error"] == "The package is for postgresql, and environment 'elsewhere' is mysql"


async def test_rows_that_are_left_out_are_counted_and_listed_in_the_log(shop: Shop) -> None:
    package = await shop.pack()
    run(shop.staging, "alter table orders add check (amount > 1)")
    made = (await shop.deploy(package, continue_on_error=True))["deployment"]
    assert made["tables"]["orders"] == {"new": 2, "changed": 0, "same": 0, "failed": 1}
    assert made["warnings"] == ["1 rows of orders were left out: the log of the job lists them"]
    log = (await shop.answer("GET", f"/jobs/{made['id']}/logs")).text
    lines = [json.loads(line.partition("] ")[2]) for line in log.splitlines()]
    assert {line["table"]: line["failed"] for line in lines if "failed" in line} == {"customers": 0, "orders": 1}
    assert [line["table"] for line in lines if "reason" in line] == ["orders"]
    action = (await shop.ask("GET", f"/packages/{package}/actions"))["actions"][0]
    assert (action["recordsprocessed"], action["recordssucceeded"], action["recordsfailed"]) == (6, 5, 1)
    assert action["warninglog"] == made["warnings"]


async def test_the_log_of_a_job_tells_every_try_and_what_became_of_each_table(shop: Shop) -> None:
    package = await shop.pack()
    run(shop.staging, "insert into customers (name) values ('Ann')")
    clash = await shop.deploy(package, 409, skip_existing=False)
    (job,) = (await shop.ask("GET", "/jobs", params={"status": "failed"}))["jobs"]
    run(shop.staging, "delete from customers where name = 'Ann'")
    await shop.ask("POST", f"/jobs/{job['job_id']}/retry")
    await shop.job(job["job_id"], "completed")
    tried, *done = (await shop.answer("GET", f"/jobs/{job['job_id']}/logs")).text.splitlines()
    assert json.loads(tried.partition("] ")[2]) == {"error": clash["error"], "code": "CLASH"}
    assert {table["table"]: table["new"] for table in (json.loads(line.partition("] ")[2]) for line in done)} == {
        "customers": 3,
        "orders": 3,
    }


def in_seconds(seconds: int) -> str:
    """A moment soon."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_dry_run_that_fails_is_in_the_history_with_its_reason(shop: Shop) -> None:
    package = await shop.pack()
    run(shop.staging, "drop table orders")
    refused = await shop.deploy(package, 400, dry_run=True)
    newest = (await shop.ask("GET", f"/packages/{package}/actions"))["actions"][0]
    assert (newest["actiontype"], newest["actionstatus"]) == ("validate", "failed")
    assert newest["errorlog"] == [refused["error"]]
    assert newest["completedat"] is not None
