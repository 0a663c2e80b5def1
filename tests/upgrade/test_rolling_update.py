"""A rolling update, there and back, with real processes of two releases on one database, under load on both."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.embedded.nats import EmbeddedNats
from projections.registry import DEPLOYMENTS
from tests.conftest import Database, open_folder
from tests.upgrade.checks import everything_holds, rows, tables
from tests.upgrade.load import Load
from tests.upgrade.releases import ALL_APART, NEXT_VERSION, ROOT, Release, next_release

OLD_TABLE, NEW_TABLE = f"deployments_v{DEPLOYMENTS.version}", f"deployments_v{NEXT_VERSION}"
RETIRED_SECONDS = 60
WELL = {200, 201}


@pytest.fixture
def parts() -> tuple[str, ...]:
    """One process of each release, unless a test says otherwise."""
    return ("up",)


@pytest.fixture
async def old(database: Database, nats_server: EmbeddedNats, parts: tuple[str, ...]) -> AsyncIterator[Release]:
    """The release before, ready."""
    with open_folder("old") as folder:
        release = Release(ROOT, database, nats_server, folder / "rollbook.log", parts)
        await release.start()
        await release.until_ready()
        yield release
        await release.end()


@pytest.fixture
async def new(
    database: Database, nats_server: EmbeddedNats, tmp_path: Path, parts: tuple[str, ...]
) -> AsyncIterator[Release]:
    """The next release, not started."""
    with open_folder("new") as folder:
        release = Release(next_release(tmp_path / "next"), database, nats_server, folder / "rollbook.log", parts)
        yield release
        await release.end()


@pytest.fixture
async def loads(old: Release, new: Release) -> AsyncIterator[tuple[Load, Load]]:
    """Clients of both."""
    pair = Load(old, new), Load(new, old)
    yield pair
    for load in pair:
        await load.close()


@pytest.mark.faults
@pytest.mark.parametrize("parts", [("up",), ALL_APART], ids=["up", "apart"])
@pytest.mark.timeout(240)
async def test_an_older_and_a_newer_release_serve_side_by_side_until_the_older_is_gone(
    old: Release, new: Release, loads: tuple[Load, Load], database: Database, nats_server: EmbeddedNats
) -> None:
    on_old, on_new = loads
    await annotate_and_begin(on_old)
    await new.start()
    await new.until_ready()
    await built_before_it_was_ready(database)
    on_new.begin()
    await asyncio.gather(on_old.answered(100), on_new.answered(100))
    assert (on_old.statuses(), on_new.statuses()) == (WELL, WELL)
    await the_older_stops_in_front_of_what_is_newer(old, on_old, on_new)
    assert tables(database) == {OLD_TABLE, NEW_TABLE}
    await it_drains_under_load(old, on_old)
    await on_new.answered(50)
    await on_old.end()
    await on_new.end()
    assert (on_new.statuses(), on_new.moved) == (WELL, 0)
    await everything_holds(database, nats_server, on_old, on_new)
    await the_older_table_goes_later(database, on_new)


async def annotate_and_begin(on_old: Load) -> None:
    """Events of the older version, and load."""
    first = await on_old.create(9)
    for change in ({"notes": "old"}, {"status": "deployed"}):
        assert (await on_old.ask("PATCH", f"/v1/deployments/{first}", json=change)).status_code == 200
    on_old.begin()
    await on_old.answered(100)


async def built_before_it_was_ready(database: Database) -> None:
    """The next release's table stands beside the older one, with the whole history, upcast."""
    assert tables(database) == {OLD_TABLE, NEW_TABLE}
    query = "select count(*), count(channel) from rollbook_views.{} where document::json ->> 'notes' = 'old'"
    assert rows(database, query.format(NEW_TABLE)) == [(2, 2)]
    old_rows, new_rows = (
        rows(database, f"select count(*) from rollbook_views.{name} where from_position <= 100")
        for name in (OLD_TABLE, NEW_TABLE)
    )
    assert old_rows == new_rows != [(0,)]
    columns = "select 1 from information_schema.columns where table_name = 'commands' and column_name = 'channel'"
    assert rows(database, columns) == [(1,)]


async def the_older_stops_in_front_of_what_is_newer(old: Release, on_old: Load, on_new: Load) -> None:
    """It says so, and refuses what it cannot answer, which succeeds at the newer one; nothing else goes wrong."""
    before, made = len(on_old.seen), on_new.created[0]
    assert (await on_new.ask("PATCH", f"/v1/deployments/{made}", json={"notes": "new"})).status_code == 200
    await it_says_that_something_is_newer(old)
    refused = await on_old.http.patch(f"/v1/deployments/{made}", json={"status": "failed"})
    assert refused.status_code == 503 and "newer release" in refused.text and refused.headers["retry-after"]
    await on_old.answered(20)
    assert on_old.of_commands(before) == WELL
    assert on_old.statuses(before) <= WELL | {503}
    assert "projector.parked" not in old.log.read_text()


async def it_says_that_something_is_newer(old: Release) -> None:
    """On /ready, so that a balancer sends nobody there."""
    await old.until(lambda statuses, failing: 503 in statuses and "newer than me" in failing)


async def it_drains_under_load(release: Release, load: Load) -> None:
    """Whoever is under way is answered; the others go elsewhere."""
    before, moved = len(load.seen), load.moved
    assert await release.end() == {0}
    await load.answered(50)
    assert load.statuses(before) <= WELL | {503}
    assert load.moved > moved


async def the_older_table_goes_later(database: Database, on_new: Load) -> None:
    """Some time after the last process of the older release; the newer one does not notice."""
    async with asyncio.timeout(RETIRED_SECONDS):
        while OLD_TABLE in tables(database):
            await asyncio.sleep(0.5)
    assert tables(database) == {NEW_TABLE}
    channels = f"select distinct channel from rollbook_views.{NEW_TABLE} where channel is not null order by 1"
    assert rows(database, channels) == [("api",), ("unknown",)]
    assert (await on_new.ask("GET", "/v1/deployments")).status_code == 200


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_an_update_is_taken_back_while_nothing_newer_is_recorded(
    old: Release, new: Release, loads: tuple[Load, Load], database: Database, nats_server: EmbeddedNats
) -> None:
    on_old, on_new = loads
    await annotate_and_begin(on_old)
    await new.start()
    await new.until_ready()
    on_new.begin()
    await asyncio.gather(on_old.answered(50), on_new.answered(50))
    await it_drains_under_load(old, on_old)
    await old.start()
    await old.until_ready()
    await asyncio.gather(on_old.answered(50), on_new.answered(50))
    await it_drains_under_load(new, on_new)
    for load in loads:
        await load.end()
        assert load.statuses() == WELL
    await everything_holds(database, nats_server, *loads)


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_an_older_release_never_gets_ready_on_what_a_newer_one_recorded(
    old: Release, new: Release, loads: tuple[Load, Load], database: Database, nats_server: EmbeddedNats
) -> None:
    _, on_new = loads
    await new.start()
    await new.until_ready()
    assert await old.end() == {0}
    on_new.begin()
    await on_new.answered(20)
    assert (await on_new.ask("PATCH", f"/v1/deployments/{on_new.created[0]}", json={"notes": "n"})).status_code == 200
    await old.start()
    await it_says_that_something_is_newer(old)
    await on_new.answered(20)
    await on_new.end()
    assert (on_new.statuses(), on_new.moved) == (WELL, 0)
    await everything_holds(database, nats_server, on_new)
