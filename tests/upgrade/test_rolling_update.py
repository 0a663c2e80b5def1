"""A rolling update, with real processes of two releases on one database, under load on both."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.embedded.nats import EmbeddedNats
from projections.registry import DEPLOYMENTS
from tests.conftest import Database, open_folder
from tests.upgrade.releases import NEXT_VERSION, ROOT, Load, Release, next_release

OLD_TABLE, NEW_TABLE = f"deployments_v{DEPLOYMENTS.version}", f"deployments_v{NEXT_VERSION}"
RETIRED_SECONDS = 60


@pytest.fixture
async def old(database: Database, nats_server: EmbeddedNats, tmp_path: Path) -> AsyncIterator[Release]:
    """The release before, ready."""
    with open_folder("old") as folder:
        release = Release(ROOT, database, nats_server, folder / "rollbook.log")
        await release.start()
        await release.until_ready()
        yield release
        await release.end()


@pytest.fixture
async def new(database: Database, nats_server: EmbeddedNats, tmp_path: Path) -> AsyncIterator[Release]:
    """The next release, not started."""
    with open_folder("new") as folder:
        release = Release(next_release(tmp_path / "next"), database, nats_server, folder / "rollbook.log")
        yield release
        if release.process:
            await release.end()


@pytest.fixture
async def loads(old: Release, new: Release) -> AsyncIterator[tuple[Load, Load]]:
    """Clients of both."""
    pair = Load(old), Load(new)
    yield pair
    for load in pair:
        await load.close()


def rows(database: Database, query: str) -> list[Any]:
    """What the database answers to its administrator."""
    with psycopg.connect(database.admin_url) as admin:
        return admin.execute(query.encode()).fetchall()


def tables(database: Database) -> set[str]:
    """The tables of the deployments read model."""
    query = "select relname from pg_class where relkind = 'r' and relname ~ '^deployments_v[0-9]+$'"
    return {name for (name,) in rows(database, query)}


@pytest.mark.timeout(240)
async def test_an_older_and_a_newer_release_serve_side_by_side_until_the_older_is_gone(
    old: Release, new: Release, loads: tuple[Load, Load], database: Database
) -> None:
    on_old, on_new = loads
    await annotate_and_begin(on_old)
    await new.start()
    await new.until_ready()
    await built_before_it_was_ready(database)
    on_new.begin()
    await asyncio.gather(on_old.answered(100), on_new.answered(100))
    assert (on_old.statuses(), on_new.statuses()) == ({200, 201}, {200, 201})
    await the_older_stops_in_front_of_what_is_newer(old, on_old, on_new)
    assert await old.end() == 0
    await on_new.answered(50)
    await on_new.end()
    assert on_new.statuses() == {200, 201}
    assert rows(database, "select * from rollbook_views.parked_streams") == []
    await the_older_table_goes_later(database, on_new)


async def annotate_and_begin(on_old: Load) -> None:
    """Events of the older version, and load."""
    first = await on_old.create(9)
    await on_old.ask("PATCH", f"/v1/deployments/{first}", json={"notes": "old"})
    on_old.begin()
    await on_old.answered(100)


async def built_before_it_was_ready(database: Database) -> None:
    """The next release's table stands beside the older one, with the whole history, upcast."""
    assert tables(database) == {OLD_TABLE, NEW_TABLE}
    query = "select count(*), count(channel) from rollbook_views.{} where document::json ->> 'notes' = 'old'"
    assert rows(database, query.format(NEW_TABLE)) == [(1, 1)]
    old_rows, new_rows = (
        rows(database, f"select count(*) from rollbook_views.{name} where from_position <= 100")
        for name in (OLD_TABLE, NEW_TABLE)
    )
    assert old_rows == new_rows != [(0,)]
    columns = "select 1 from information_schema.columns where table_name = 'commands' and column_name = 'channel'"
    assert rows(database, columns) == [(1,)]


async def the_older_stops_in_front_of_what_is_newer(old: Release, on_old: Load, on_new: Load) -> None:
    """It says so, and refuses what it cannot answer; nothing else goes wrong, there or at the newer release."""
    before = len(on_old.seen)
    made = on_new.created[0]
    assert (await on_new.ask("PATCH", f"/v1/deployments/{made}", json={"notes": "new"})).status_code == 200
    async with asyncio.timeout(30):
        while "newer than me" not in (await old.ready())[1].get("failing", {}).get("projector", ""):
            await asyncio.sleep(0.1)
    assert (await old.ready())[0] == 503
    refused = await on_old.ask("PATCH", f"/v1/deployments/{made}", json={"status": "failed"})
    assert refused.status_code == 503 and "newer release" in refused.text
    await on_old.end()
    assert on_old.statuses(before) <= {200, 201, 503}
    await on_new.answered(50)
    assert "projector.parked" not in old.log.read_text()


async def the_older_table_goes_later(database: Database, on_new: Load) -> None:
    """Some time after the last process of the older release; the newer one does not notice."""
    assert OLD_TABLE in tables(database)
    async with asyncio.timeout(RETIRED_SECONDS):
        while OLD_TABLE in tables(database):
            await asyncio.sleep(0.5)
    assert tables(database) == {NEW_TABLE}
    channels = f"select distinct channel from rollbook_views.{NEW_TABLE} where channel is not null order by 1"
    assert rows(database, channels) == [("api",), ("unknown",)]
    assert (await on_new.ask("GET", "/v1/deployments")).status_code == 200
