"""The subscriber kit: every event takes effect once in a database of the user's own, whatever fails meanwhile."""

import asyncio
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rollbook_subscriber import EpochChanged, Event, Overtaken, Refused, Subscriber

from tests.conftest import Database, Running
from tests.feed.cutting import cutting
from tests.feed.subscriber import deploy, everything, move
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")
EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "examples" / "live_versions.py"


@pytest.fixture(params=["sqlite3", "psycopg"])
def connection(request: pytest.FixtureRequest, database: Database) -> Iterator[Any]:
    """A connection to a database of the user's own."""
    opened: Any = sqlite3.connect(":memory:", check_same_thread=False)
    if request.param == "psycopg":
        opened = psycopg.connect(database.owner_url)
    with closing(opened):
        opened.execute("create table seen (position bigint primary key)")
        opened.commit()
        yield opened


def note(connection: Any, event: Event) -> None:
    """What a user does with an event."""
    mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
    connection.execute(f"insert into seen values ({mark})", (event.position,))


def seen(connection: Any) -> list[int]:
    """The positions that took effect."""
    rows = connection.execute("select position from seen order by position").fetchall()
    connection.commit()
    return [row[0] for row in rows]


async def run(subscriber: Subscriber, connection: Any, handle: Any = note) -> None:
    """Takes everything that there is up to now."""
    try:
        await asyncio.wait_for(asyncio.to_thread(subscriber.run, connection, handle, False), 30)
    finally:
        subscriber.stop()


async def positions(quiet: Running, organisation: str, **wanted: str) -> list[int]:
    """What is in the feed."""
    return [one["position"] for one in await everything(quiet.client, organisation, **wanted)]


async def test_everything_takes_effect_once_and_the_next_run_goes_on(quiet: Running, connection: Any) -> None:
    acme = own_organisation()
    subscriber = Subscriber(quiet.url, "mine", organisation=acme)
    for number in range(3):
        await deploy(quiet.client, acme, version=str(number))
        await run(subscriber, connection)
        assert seen(connection) == await positions(quiet, acme)


async def test_what_a_handler_raises_takes_its_transaction_back_and_the_next_run_tries_again(
    quiet: Running, connection: Any
) -> None:
    acme = own_organisation()
    for number in range(3):
        await deploy(quiet.client, acme, version=str(number))
    whole = await positions(quiet, acme)

    def stumble(connection: Any, event: Event) -> None:
        note(connection, event)
        if event.position == whole[-1]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(Subscriber(quiet.url, "mine", organisation=acme), connection, stumble)
    assert whole[-1] not in seen(connection)
    await run(Subscriber(quiet.url, "mine", organisation=acme), connection)
    assert seen(connection) == whole


async def test_filters_are_those_of_the_feed(quiet: Running, connection: Any) -> None:
    acme = own_organisation()
    made = await deploy(quiet.client, acme)
    await move(quiet.client, acme, made, "in_progress")
    topics = ["deployment.started", "lane.opened"]
    await run(Subscriber(quiet.url, "mine", organisation=acme, topic=topics), connection)
    whole = await everything(quiet.client, acme)
    assert seen(connection) == [one["position"] for one in whole if one["topic"] in topics]


async def test_two_under_one_name_do_nothing_twice(quiet: Running, connection: Any) -> None:
    acme = own_organisation()
    await deploy(quiet.client, acme)
    late, quick = (Subscriber(quiet.url, "mine", organisation=acme) for _ in range(2))

    def be_overtaken(connection: Any, event: Event) -> None:
        """Somebody else goes on meanwhile."""
        connection.execute("update rollbook_checkpoints set place = '1'")
        connection.commit()

    with pytest.raises(Overtaken):
        await run(late, connection, be_overtaken)
    connection.execute("delete from rollbook_checkpoints")
    connection.commit()
    await run(quick, connection)
    assert seen(connection) == await positions(quiet, acme)


@pytest.mark.parametrize("changed", ["store", "epoch"])
async def test_another_epoch_or_store_is_said_and_after_forgetting_it_begins_anew(
    quiet: Running, connection: Any, changed: str
) -> None:
    acme = own_organisation()
    await deploy(quiet.client, acme)
    subscriber = Subscriber(quiet.url, "mine", organisation=acme)
    await run(subscriber, connection)
    value = {"store": "'another'", "epoch": "7"}[changed]
    connection.execute(f"update rollbook_checkpoints set {changed} = {value}")
    connection.commit()
    with pytest.raises(EpochChanged):
        await run(subscriber, connection)
    connection.execute("delete from seen")
    subscriber.forget(connection)
    connection.commit()
    await run(subscriber, connection)
    assert seen(connection) == await positions(quiet, acme)


async def test_a_wish_that_makes_no_sense_ends_the_run(quiet: Running, connection: Any) -> None:
    with pytest.raises(Refused) as refused:
        await run(Subscriber(quiet.url, "mine", topic="%"), connection)
    assert refused.value.status == 422


async def test_a_connection_that_commits_by_itself_is_refused(quiet: Running, database: Database) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as opened, pytest.raises(ValueError, match="autocommit"):
        await run(Subscriber(quiet.url, "mine"), opened)


async def test_the_example_survives_kill_9_with_nothing_lost_and_nothing_doubled(
    quiet: Running, tmp_path: Path
) -> None:
    acme, file = own_organisation(), tmp_path / "own.db"
    for number in range(20):
        await deploy(quiet.client, acme, version=str(number), name=f"service-{number % 4}")
    for number in range(4):
        process = await asyncio.create_subprocess_exec(sys.executable, EXAMPLE, quiet.url, acme, file)
        made = await deploy(quiet.client, acme, version=f"live-{number}", name="shop")
        await moved_on(file, await place(file))
        process.kill()
        await process.wait()
        for status in ("in_progress", "deployed"):
            await move(quiet.client, acme, made, status)
    process = await asyncio.create_subprocess_exec(sys.executable, EXAMPLE, quiet.url, acme, file)
    told = await everything(quiet.client, acme, topic="deployment.*")
    await reached(file, told[-1]["position"])
    process.kill()
    await process.wait()
    assert dict(rows(file, "select topic, times from happened")) == Counter(one["topic"] for one in told)
    assert rows(file, "select component, environment, version from live") == [("shop", "production", "live-3")]


def rows(file: Path, query: str) -> list[Any]:
    """What a query finds in the user's database; nothing before it is there."""
    with closing(sqlite3.connect(file, timeout=10)) as opened:
        try:
            return opened.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


async def place(file: Path) -> int:
    """How far the example has come."""
    found = rows(file, "select place from rollbook_checkpoints")
    return int(found[0][0]) if found else 0


async def moved_on(file: Path, before: int) -> None:
    """Until the example has come further."""
    async with asyncio.timeout(60):
        while await place(file) <= before:
            await asyncio.sleep(0.01)


async def reached(file: Path, position: int) -> None:
    """Until the example has come so far."""
    async with asyncio.timeout(60):
        while await place(file) < position:
            await asyncio.sleep(0.01)


async def test_a_way_that_breaks_again_and_again_loses_and_doubles_nothing(quiet: Running, connection: Any) -> None:
    acme = own_organisation()
    for number in range(12):
        await deploy(quiet.client, acme, version=str(number))
    async with cutting(quiet.url, 10_000) as way:
        await run(Subscriber(way.url, "mine", organisation=acme), connection)
    assert seen(connection) == await positions(quiet, acme)
    assert way.cuts > 1
