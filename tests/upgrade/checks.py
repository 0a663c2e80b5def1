"""What must hold after any update: what was acknowledged is there once, and the chain and the feed are whole."""

import asyncio
from collections import Counter
from typing import Any

import nats
import psycopg

from adapters.embedded.nats import EmbeddedNats
from tests.conftest import Database
from tests.kernel.chain import check_order, stored, verify
from tests.upgrade.load import Load


async def everything_holds(database: Database, broker: EmbeddedNats, *loads: Load) -> None:
    """Whichever release took a command."""
    log = stored(database.admin_url)
    verify(log)
    check_order(log)
    each_command_happened_once(log, [made for load in loads for made in load.created])
    assert rows(database, "select * from rollbook_views.parked_streams") == []
    await the_feed_is_the_log(broker, [str(event["event_id"]) for event in log])


def each_command_happened_once(log: list[dict[str, Any]], created: list[str]) -> None:
    """Not one was lost on the way from one release to the other, and none was carried out by both."""
    scheduled = Counter(e["stream_id"].removeprefix("deployment-") for e in log if e["topic"] == "deployment.scheduled")
    assert scheduled == Counter(created)
    deployed = Counter(e["stream_id"] for e in log if e["topic"] == "deployment.deployed")
    assert set(deployed.values()) == {1}


async def the_feed_is_the_log(broker: EmbeddedNats, event_ids: list[str]) -> None:
    """Every event once and in order."""
    client = await nats.connect(broker.url)
    try:
        stream = client.jetstream()
        async with asyncio.timeout(20):
            while (await stream.stream_info("ROLLBOOK")).state.messages < len(event_ids):
                await asyncio.sleep(0.05)
        subscription = await stream.subscribe("rollbook.>", ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=10) for _ in event_ids]
        assert (await stream.stream_info("ROLLBOOK")).state.messages == len(event_ids)
    finally:
        await client.close()
    assert [(message.headers or {})["Nats-Msg-Id"] for message in messages] == event_ids


def rows(database: Database, query: str) -> list[Any]:
    """What the database answers to its administrator."""
    with psycopg.connect(database.admin_url) as admin:
        return admin.execute(query.encode()).fetchall()


def tables(database: Database) -> set[str]:
    """The tables of the deployments read model."""
    query = "select relname from pg_class where relkind = 'r' and relname ~ '^deployments_v[0-9]+$'"
    return {name for (name,) in rows(database, query)}
