"""What must hold after any crash."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx2
import nats
import psycopg

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from domain.recorded import RecordedEvent
from tests.faults.instance import Instance
from tests.faults.load import Command, Ledger
from tests.faults.replay import read_models_equal_replay, whole_log

ZERO = bytes(32)
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
REPEATED_AT_ONCE = 8


def server(folder: Path) -> EmbeddedPostgres:
    """The database of an instance, to be asked."""
    postgres = EmbeddedPostgres(folder)
    postgres.port = int((folder / "postgres.port").read_text())
    return postgres


def admin_url(folder: Path) -> str:
    """The superuser of an instance's database."""
    return server(folder).admin_url


async def everything_holds(instance: Instance, ledger: Ledger) -> None:
    """Acknowledged commands are there, none happened twice, read models and feed equal the log."""
    await durability_is_on(instance)
    await repeats_answer_the_same(instance, ledger)
    await visible(instance)
    async with await psycopg.AsyncConnection.connect(admin_url(instance.folder)) as admin:
        events = await whole_log(admin)
        log_is_whole(events)
        acknowledged_is_there(events, ledger)
        await read_models_equal_replay(admin, events)
    await feed_equals_log(instance, [str(event.event_id) for event in events])


async def visible(instance: Instance) -> None:
    """Every read waits for the writes before it."""
    async with httpx2.AsyncClient(base_url=instance.url, timeout=20) as http:
        assert (await http.get("/v1/deployments?limit=1")).status_code == 200


async def repeats_answer_the_same(instance: Instance, ledger: Ledger) -> None:
    """The same Idempotency-Key gives the same answer, also where none came the first time."""
    waiting = iter(list(ledger.commands))

    async def repeat() -> None:
        async with httpx2.AsyncClient(base_url=instance.url, timeout=20) as http:
            for command in waiting:
                await repeat_one(http, ledger, command)

    await asyncio.gather(*(repeat() for _ in range(REPEATED_AT_ONCE)))


async def repeat_one(http: httpx2.AsyncClient, ledger: Ledger, command: Command) -> None:
    """Once more, or twice when nobody knows whether it happened."""
    if command.answer is None:
        first = await command.send(http)
        assert first.status_code == command.status, first.text
        ledger.acknowledge(command, first.json())
    again = await command.send(http)
    assert (again.status_code, again.json()) == (command.status, command.answer)


async def durability_is_on(instance: Instance) -> None:
    """The kill is worth something only then; asked in the role that appends."""
    async with await psycopg.AsyncConnection.connect(server(instance.folder).app_url) as connection:
        await connection.execute("set role rollbook_writer")
        query = "select name, setting from pg_settings where name = any(%s)"
        assert dict(await (await connection.execute(query, [list(DURABLE)])).fetchall()) == dict.fromkeys(DURABLE, "on")


def log_is_whole(events: Sequence[RecordedEvent]) -> None:
    """No position missing, streams and chains unbroken."""
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    versions: Counter[str] = Counter()
    chain: dict[str, bytes] = {}
    for event in events:
        versions[event.stream_id] += 1
        assert event.version == versions[event.stream_id], f"stream {event.stream_id} has a gap"
        previous = chain.get(event.organisation, ZERO)
        assert event.previous_hash == previous
        assert event.hash == link(previous, event), f"hash at {event.position}"
        chain[event.organisation] = event.hash


def link(previous: bytes, event: RecordedEvent) -> bytes:
    """The hash that an event must have."""
    digests = [hashlib.sha256(part).digest() for part in (event.envelope_bytes, event.payload)]
    return hashlib.sha256(previous + b"".join(digests)).digest()


def acknowledged_is_there(events: Sequence[RecordedEvent], ledger: Ledger) -> None:
    """Each acknowledged create once, each acknowledged `deployed` once, and nothing that nobody sent."""
    scheduled = Counter(deployment_of(e) for e in events if e.topic == "deployment.scheduled")
    deployed = Counter(deployment_of(e) for e in events if e.topic == "deployment.deployed")
    versions = Counter(json.loads(e.payload)["release"]["version"] for e in events if e.topic == "deployment.scheduled")
    assert {answer["id"] for answer in ledger.answers("POST")} <= set(scheduled)
    assert {answer["id"] for answer in ledger.answers("PATCH")} == set(deployed)
    assert set(scheduled.values()) | set(deployed.values()) <= {1}
    assert set(versions.values()) <= {1}, "a command happened twice"


def deployment_of(event: RecordedEvent) -> str:
    """Whose event it is."""
    return event.stream_id.removeprefix("deployment-")


async def feed_equals_log(instance: Instance, event_ids: list[str]) -> None:
    """NATS has every event once, in order, and nothing else."""
    broker = EmbeddedNats(instance.folder)
    broker.port = int((instance.folder / "nats.port").read_text())
    client = await nats.connect(broker.url)
    try:
        stream = client.jetstream()
        for _ in range(400):
            if (await stream.stream_info("ROLLBOOK")).state.messages >= len(event_ids):
                break
            await asyncio.sleep(0.05)
        subscription = await stream.subscribe("rollbook.>", ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=10) for _ in event_ids]
        assert [(message.headers or {})["Nats-Msg-Id"] for message in messages] == event_ids
        assert (await stream.stream_info("ROLLBOOK")).state.messages == len(event_ids)
    finally:
        await client.close()
