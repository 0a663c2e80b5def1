"""What must hold after any crash."""

import asyncio
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import nats
import psycopg

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres import codec
from domain.recorded import RecordedEvent
from projections.deployments import Deployments
from projections.read_model import STILL, table
from tests.faults.instance import Instance
from tests.faults.load import Ledger

ZERO = bytes(32)


def admin_url(folder: Path) -> str:
    """The superuser of an instance's database."""
    postgres = EmbeddedPostgres(folder)
    postgres.port = int((folder / "postgres.port").read_text())
    return postgres.admin_url


async def everything_holds(instance: Instance, ledger: Ledger) -> None:
    """Acknowledged commands are there, none happened twice, read models and feed equal the log."""
    await repeats_answer_the_same(instance, ledger)
    await visible(instance)
    async with await psycopg.AsyncConnection.connect(admin_url(instance.folder)) as admin:
        await durability_is_on(admin)
        rows = await (
            await admin.execute(
                "select position, stream_id, version, topic, payload, envelope, previous_hash, hash, event_id, "
                "schema_version, organisation, sequence, commit_position, recorded_at "
                "from rollbook.events order by position"
            )
        ).fetchall()
        log_is_whole(rows)
        acknowledged_is_there(rows, ledger)
        await rows_equal_replay(admin, rows)
    await feed_equals_log(instance, [str(row[8]) for row in rows])


async def visible(instance: Instance) -> None:
    """Every read waits for the writes before it."""
    async with httpx2.AsyncClient(base_url=instance.url, timeout=20) as http:
        assert (await http.get("/v1/deployments?limit=1")).status_code == 200


async def repeats_answer_the_same(instance: Instance, ledger: Ledger) -> None:
    """The same Idempotency-Key gives the same deployment, also where no answer came the first time."""
    async with httpx2.AsyncClient(base_url=instance.url, timeout=20) as http:
        for key, sent in list(ledger.unanswered.items()):
            first = await http.post("/v1/deployments", json=sent, headers={"Idempotency-Key": key})
            again = await http.post("/v1/deployments", json=sent, headers={"Idempotency-Key": key})
            assert first.status_code == again.status_code == 201, (first.text, again.text)
            assert first.json()["id"] == again.json()["id"]
            ledger.note(key, first.json()["id"])


async def durability_is_on(admin: psycopg.AsyncConnection[Any]) -> None:
    """The kill is worth something only then."""
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        row = await (await admin.execute(f"show {setting}".encode())).fetchone()
        assert row == ("on",), setting


def log_is_whole(rows: list[Any]) -> None:
    """No position missing, streams and chain unbroken."""
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    versions: Counter[str] = Counter()
    chain: dict[str, bytes] = {}
    for row in rows:
        versions[row[1]] += 1
        assert row[2] == versions[row[1]], f"stream {row[1]} has a gap"
        previous = chain.get(row[10], ZERO)
        assert row[6] == previous
        expected = hashlib.sha256(previous + hashlib.sha256(row[5]).digest() + hashlib.sha256(row[4]).digest()).digest()
        assert row[7] == expected, f"hash at {row[0]}"
        chain[row[10]] = expected


def acknowledged_is_there(rows: list[Any], ledger: Ledger) -> None:
    """Each acknowledged create once, each acknowledged `deployed` too."""
    scheduled = Counter(row[1].removeprefix("deployment-") for row in rows if row[3] == "deployment.scheduled")
    deployed = {row[1].removeprefix("deployment-") for row in rows if row[3] == "deployment.deployed"}
    versions = Counter(json.loads(row[4])["release"]["version"] for row in rows if row[3] == "deployment.scheduled")
    assert set(ledger.created.values()) <= set(scheduled)
    assert ledger.deployed <= deployed
    assert set(scheduled.values()) <= {1}
    assert set(versions.values()) <= {1}, "a command happened twice"


async def rows_equal_replay(admin: psycopg.AsyncConnection[Any], rows: list[Any]) -> None:
    """Every present row is the fold of its stream."""
    model = Deployments()
    folded: dict[str, Any] = {}
    for r in rows:
        event = RecordedEvent(r[0], r[12], r[8], r[1], r[2], r[3], r[9], r[10], r[11], r[13], r[4], r[5], r[6], r[7])
        if key := model.key(event):
            _, data = codec.upcast(event.topic, event.schema_version, event.data)
            folded[key] = model.fold(folded.get(key), event, data)
    query = f"select key, document from rollbook_views.{table(model)} where to_position = {STILL}"
    kept = {key: json.loads(document) for key, document in await (await admin.execute(query.encode())).fetchall()}
    assert kept.keys() == folded.keys()
    for key, row in kept.items():
        assert without_moments(row) == without_moments(folded[key])


def without_moments(row: dict[str, Any]) -> dict[str, Any]:
    """Times are written in the zone of the connection that read them."""
    return {name: value for name, value in row.items() if name not in ("created_at", "updated_at")}


async def feed_equals_log(instance: Instance, event_ids: list[str]) -> None:
    """NATS has every event once, in order."""
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
        seen = [(message.headers or {})["Nats-Msg-Id"] for message in messages]
    finally:
        await client.close()
    assert seen == event_ids
