"""Disks fill up while packages are made, sent and deployed: nothing is half there, and with room again all goes on."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from application import jobs
from entrypoints.http.uploads import OFFSET_STREAM
from tests.conftest import Database, open_folder, running_rollbook, settings_for
from tests.databases.servers import own
from tests.deployments.conftest import SCHEMA, SOLD, Shop, rows, run
from tests.deployments.dying import in_the_midst
from tests.faults.disk import Disk, small_disk
from tests.sharing import environments_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
COUNT = "select count(*) from customers"


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A small disk of the test's own, empty."""
    with open_folder("disk") as folder, small_disk(folder) as made:
        yield made


@pytest.fixture
async def shop(
    database: Database, nats_server: EmbeddedNats, source: str, staging: str, disk: Disk, tmp_path: Path
) -> AsyncIterator[Shop]:
    """What belongs to packages lies on the small disk."""
    async with running_rollbook(
        settings_for(tmp_path, data_dir=disk.folder, database_url=database.app_url), database
    ) as running:
        found = Shop(running, nats_server.url, source, staging)
        known = [{"name": "source", "kind": "postgresql", "dsn": source}]
        known += [{"name": "staging", "kind": "postgresql", "dsn": staging}]
        with environments_of(running.app, found.organisation, known, tmp_path):
            found.begin()
            yield found
            await found.end()


def unfinished(shop: Shop) -> list[Path]:
    """What was begun to be kept."""
    return list((shop.rollbook.app.settings.data_dir / "blobs" / "incoming").glob("*"))


async def test_a_pack_whose_disk_fills_up_fails_with_the_reason_and_leaves_nothing(shop: Shop, disk: Disk) -> None:
    body = {"name": "shop-data", "version": "1", "package_type": "database", "environment": "source"}
    asking = shop.ask("POST", "/packages", 507, json={**body, "filter": {"tables": ["customers", "orders"]}})
    refused = await in_the_midst(shop, shop.source, "orders", asking, lambda: disk.fill(0))
    assert "disk" in refused["error"]
    (job,) = (await shop.ask("GET", "/jobs"))["jobs"]
    assert (job["status"], job["last_error"], unfinished(shop)) == ("failed", refused["error"], [])
    found = await shop.ask("GET", f"/packages/pkg-{job['job_id'].removeprefix('pack-')}/actions")
    assert [(one["actionstatus"], one["errorlog"]) for one in found["actions"]] == [("failed", [refused["error"]])]
    disk.clear()
    package = await shop.pack("shop-data", "1")
    await shop.deploy(package)
    assert rows(shop.staging) == SOLD


async def test_imports_and_uploads_that_find_no_room_are_refused_and_go_on_later(shop: Shop, disk: Disk) -> None:
    package = await shop.pack()
    document = await shop.ask("POST", f"/packages/{package}/generate", json={"format": "json"})
    content = await begun(shop, 1 << 20)
    disk.fill(0)
    refused = await shop.ask("POST", "/packages/import", 507, json={"package_data": document | {"name": "again"}})
    assert "disk" in refused["error"]
    assert (await sent(shop, content, 0)).status_code == 507
    assert (await shop.ask("GET", "/packages"))["count"] == 1
    assert unfinished(shop) == []
    await shop.deploy(package)
    disk.clear()
    await shop.ask("POST", "/packages/import", 201, json={"package_data": document | {"name": "again"}})
    answered = await sent(shop, content, 0)
    assert (answered.status_code, answered.headers["upload-offset"]) == (204, str(1 << 20))


async def begun(shop: Shop, length: int) -> str:
    """Where a file may be sent to."""
    answered = await shop.answer("POST", "/uploads", 201, headers={"Upload-Length": str(length)})
    return str(answered.headers["location"])


async def sent(shop: Shop, place: str, offset: int) -> httpx2.Response:
    """A megabyte of it."""
    told = {"X-Organisation": "acme", "Content-Type": OFFSET_STREAM, "Upload-Offset": str(offset)}
    told["Tus-Resumable"] = "1.0.0"
    return await shop.rollbook.client.patch(place, headers=told, content=os.urandom(1 << 20))


@pytest.fixture
def crowded(postgres: EmbeddedPostgres, disk: Disk) -> Iterator[str]:
    """A database whose tables lie on the small disk."""
    place = disk.folder / "tables"
    place.mkdir()
    own(place)
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create tablespace crowded location '{place}'".encode())
        admin.execute("create database crowded tablespace crowded")
        yield make_conninfo(postgres.admin_url, dbname="crowded")
        admin.execute("drop database crowded with (force)")
        admin.execute("drop tablespace crowded")


async def test_a_target_whose_disk_is_full_has_nothing_and_with_room_again_everything(
    shop: Shop, disk: Disk, crowded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_PAUSE_SECONDS", 0.2)
    run(crowded, SCHEMA + "insert into customers (name) select 'old ' || n from generate_series(1, 7) n")
    run(
        shop.source,
        "insert into customers (name, mail) select n, repeat(md5(n::text), 30) from generate_series(1, 9999) n",
    )
    package = await shop.pack()
    known = [{"name": "crowded", "kind": "postgresql", "dsn": crowded}]
    with environments_of(shop.rollbook.app, shop.organisation, known, tmp_path):
        disk.fill(2)
        refused = await shop.deploy(package, 503, to="crowded")
        assert "its disk is full" in refused["error"]
        (failed,) = await shop.deployments()
        assert (failed["status"], failed["errorlog"]) == ("failed", [refused["error"]])
        assert rows(crowded, COUNT) == [(7,)]
        disk.clear()
        await shop.ask("POST", f"/jobs/{failed['id']}/retry")
        await shop.job(failed["id"], "completed")
        assert (rows(crowded), rows(crowded, COUNT)) == (SOLD, [(10_009,)])
