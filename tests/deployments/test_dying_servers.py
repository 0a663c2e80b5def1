"""Databases of users die in the midst of a job and come back: it is done once and whole, or failed with its reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.postgres import EmbeddedPostgres
from application import jobs
from tests.conftest import Background, Running, open_folder, reserved_port
from tests.deployments.conftest import ROWS, SCHEMA, SOLD, Shop, entries, rows, run
from tests.deployments.dying import Server, in_the_midst
from tests.sharing import environments_of, own_organisation

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]
COUNT = "select count(*) from customers"
NAMES = ("source", "staging")
ANEW = "drop schema public cascade; drop schema if exists rollbook_packages cascade; create schema public;"


@pytest.fixture(scope="module")
def server(background: Background) -> Iterator[Server]:
    """A server of users', with two databases."""
    with open_folder("theirs") as folder:
        made = Server(EmbeddedPostgres(folder, reserved_port(), {"fsync": "off"}), background)
        made.rise()
        for name in NAMES:
            run(made.postgres.admin_url, f"create database {name}")
        yield made
        background.run(made.postgres.stop())


@pytest.fixture
def shop(busy: Running, server: Server, tmp_path: Path) -> Iterator[Shop]:
    """Both databases are as new."""
    urls = [make_conninfo(server.postgres.admin_url, dbname=name) for name in NAMES]
    for url in urls:
        run(url, ANEW + SCHEMA)
    run(urls[0], ROWS)
    run(urls[1], "insert into customers (name) select 'old ' || n from generate_series(1, 7) n")
    found = Shop(busy, "", urls[0], urls[1], own_organisation())
    with environments_of(busy.app, found.organisation, entries(source=urls[0], staging=urls[1]), tmp_path):
        yield found


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be mended is tried again soon."""
    monkeypatch.setattr(jobs, "FIRST_PAUSE_SECONDS", 0.2)


def restart(server: Server) -> None:
    """It dies, and is back at once."""
    server.die()
    server.rise()


async def test_a_source_that_dies_while_it_is_packed_is_packed_whole_once_it_is_back(
    shop: Shop, server: Server
) -> None:
    package = await in_the_midst(shop, shop.source, "orders", shop.pack(), lambda: restart(server))
    (job,) = (await shop.ask("GET", "/jobs"))["jobs"]
    assert (job["status"], job["retry_count"] > 0) == ("completed", True)
    assert await shop.actions(package) == [("pack", "completed")]
    await shop.deploy(package)
    assert rows(shop.staging) == SOLD


async def test_a_source_that_stays_away_fails_the_pack_with_its_reason_and_frees_the_name(
    shop: Shop, server: Server, hurried: None
) -> None:
    wanted = {"name": "shop-data", "version": "1.0.0", "package_type": "database", "environment": "source"}
    body = {**wanted, "filter": {"tables": ["customers", "orders"]}}
    asking = shop.ask("POST", "/packages", 503, json=body)
    refused = await in_the_midst(shop, shop.source, "orders", asking, server.die)
    server.rise()
    assert "does not answer" in refused["error"]
    (job,) = (await shop.ask("GET", "/jobs"))["jobs"]
    assert (job["status"], job["retry_count"]) == ("failed", 3)
    assert await shop.actions(f"pkg-{job['job_id'].removeprefix('pack-')}") == [("pack", "failed")]
    assert await shop.actions(await shop.pack()) == [("pack", "completed")]


async def test_a_target_that_dies_while_it_is_deployed_to_has_everything_once_it_is_back(
    shop: Shop, server: Server
) -> None:
    package = await shop.pack()
    made = await in_the_midst(shop, shop.staging, "orders", shop.deploy(package), lambda: restart(server))
    assert (await shop.ask("GET", f"/jobs/{made['deployment']['id']}"))["retry_count"] > 0
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == (SOLD, [(10,)])
    assert await shop.actions(package) == [("deploy", "completed"), ("pack", "completed")]
    assert (await shop.deploy(package))["deployment"]["tables"]["orders"]["same"] == 3


async def test_a_target_that_stays_away_has_nothing_and_its_deployment_failed_with_the_reason(
    shop: Shop, server: Server, hurried: None
) -> None:
    package = await shop.pack()
    refused = await in_the_midst(shop, shop.staging, "orders", shop.deploy(package, 503), server.die)
    server.rise()
    (failed,) = await shop.deployments()
    assert (failed["status"], failed["errorlog"]) == ("failed", [refused["error"]])
    assert await shop.actions(package) == [("deploy", "failed"), ("pack", "completed")]
    assert rows(shop.staging, COUNT) == [(7,)]
    await shop.ask("POST", f"/jobs/{failed['id']}/retry")
    await shop.job(failed["id"], "completed")
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == (SOLD, [(10,)])


async def test_a_target_that_dies_while_it_is_rolled_back_is_as_before_once_it_is_back(
    shop: Shop, server: Server
) -> None:
    package = await shop.pack()
    made = (await shop.deploy(package))["deployment"]["id"]
    taken = await in_the_midst(shop, shop.staging, "customers", shop.roll_back(made), lambda: restart(server))
    assert taken["deployment"]["status"] == "rolled_back"
    assert (rows(shop.staging), rows(shop.staging, COUNT)) == ([], [(7,)])
    assert (await shop.actions(package))[0] == ("rollback", "completed")


async def test_a_target_that_stays_away_keeps_what_was_deployed_and_the_rollback_failed_with_the_reason(
    shop: Shop, server: Server, hurried: None
) -> None:
    package = await shop.pack()
    made = (await shop.deploy(package))["deployment"]["id"]
    refused = await in_the_midst(shop, shop.staging, "customers", shop.roll_back(made, 503), server.die)
    server.rise()
    assert (await shop.deployment(made))["status"] == "completed"
    newest = (await shop.ask("GET", f"/packages/{package}/actions"))["actions"][0]
    assert (newest["actiontype"], newest["actionstatus"]) == ("rollback", "failed")
    assert newest["errorlog"] == [refused["error"]]
    assert rows(shop.staging) == SOLD
    await shop.roll_back(made)
    assert rows(shop.staging, COUNT) == [(7,)]
