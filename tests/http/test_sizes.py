"""What is as large, as deep or as slow as it may be passes, all the way to NATS; what is more is refused."""

import asyncio
import random
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import orjson
import psycopg

from adapters.embedded.nats import EmbeddedNats
from adapters.postgres.codec import MAX_EVENT_BYTES
from tests.conftest import Database, Running, open_folder, running_rollbook, settings_for
from tests.http.hostile import LANE, RELEASE, TEXTS

BODY: dict[str, Any] = {**LANE, **RELEASE}
FILTERS = ("name", "cloud_account_id", "region", "environment", "cell")
LONG = (*FILTERS, "version", *TEXTS)
JSON = {"Content-Type": "application/json"}


def noise(length: int) -> str:
    """A text that no compression makes shorter."""
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))


@asynccontextmanager
async def limited(database: Database, tmp_path: Path, **settings: Any) -> AsyncIterator[Running]:
    """A Rollbook with these settings."""
    async with running_rollbook(settings_for(tmp_path, **settings), database) as running:
        yield running


async def create(running: Running, **fields: Any) -> Any:
    """The answer to a release that is to be queued."""
    return await running.client.post("/v1/deployments", json={**BODY, **fields})


async def scheduled(database: Database) -> tuple[int, bytes]:
    """The encoded size of the newest release's event, and its payload."""
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        query = b"""select octet_length(payload) + octet_length(envelope), payload from rollbook.events
                    where topic = 'deployment.scheduled' order by position desc limit 1"""
        row = await (await admin.execute(query)).fetchone()
    assert row is not None
    return int(row[0]), bytes(row[1])


async def test_the_largest_legal_event_reaches_nats_and_one_byte_more_is_a_413(
    rollbook: Running, database: Database
) -> None:
    full = {"description": noise(90_000), "resource": noise(89_999)}
    assert (await create(rollbook, **full, notes="n")).status_code == 201
    # The numbers that append writes may grow to 19 digits each; so far they have one.
    room = MAX_EVENT_BYTES - (await scheduled(database))[0] + 1 - 3 * 18
    assert (await create(rollbook, **full, notes=noise(room))).status_code == 201
    size, payload = await scheduled(database)
    before = await rollbook.app.log.head()
    refused = await create(rollbook, **full, notes=noise(room + 1))
    assert (refused.status_code, refused.headers["x-error-code"]) == (413, "TOO_LARGE")
    assert (size, await rollbook.app.log.head()) == (MAX_EVENT_BYTES - 3 * 18, before)
    assert payload in await relayed(rollbook, before)


async def relayed(rollbook: Running, events: int) -> list[bytes]:
    """What arrives in a NATS of its own."""
    stop = asyncio.Event()
    with open_folder("nats") as folder:
        async with EmbeddedNats(folder) as server, asyncio.TaskGroup() as group:
            group.create_task(rollbook.app.relay(server.url).run(stop))
            client = await nats.connect(server.url)
            try:
                return await arrived(client, events)
            finally:
                stop.set()
                await client.close()


async def arrived(client: Any, events: int) -> list[bytes]:
    """The data of so many messages, as soon as they are there."""
    feed = client.jetstream()
    async with asyncio.timeout(30):
        while True:
            try:
                subscription = await feed.subscribe("rollbook.>", ordered_consumer=True)
                return [(await subscription.next_msg(timeout=20)).data for _ in range(events)]
            except nats.js.errors.NotFoundError:
                await asyncio.sleep(0.05)


async def test_any_other_command_with_too_much_to_record_is_a_413_too(rollbook: Running) -> None:
    rules = [{"claims": {f"{n}-{m}": noise(900) for m in range(4)}} for n in range(100)]
    assert (await rollbook.client.put("/v1/rules", json={"approval": rules})).status_code == 413
    scope = {field: noise(90_000) for field in ("name", "region", "cell")}
    assert (await rollbook.client.post("/v1/freezes", json={"scope": scope, "reason": "x"})).status_code == 413
    assert await rollbook.app.log.head() == 0


async def test_a_text_of_a_hundred_thousand_characters_is_kept_and_listed_in_every_field(rollbook: Running) -> None:
    text, ids = noise(100_000), []
    for field in LONG:
        made = await create(rollbook, **{field: text})
        assert (made.status_code, made.json()[field]) == (201, text), field
        ids.append(made.json()["id"])
    for path in ("/v1/lanes", "/v1/lanes/current"):
        assert (await rollbook.client.get(path)).status_code == 200, path
    listed = await rollbook.client.get("/v1/deployments")
    assert [one["id"] for one in listed.json()] == ids[::-1]


async def test_a_filter_tells_long_texts_apart_to_their_end(rollbook: Running) -> None:
    for field in FILTERS:
        first, other = noise(10_000) + "a", noise(10_000) + "b"
        made = (await create(rollbook, **{field: first})).json()
        await create(rollbook, **{field: other})
        for as_of in ({}, {"as_of": str(made["position"])}):
            listed = await rollbook.client.get("/v1/deployments", params={field: first, **as_of})
            assert [one["id"] for one in listed.json()] == [made["id"]], field
        if field != "environment":
            lanes = await rollbook.client.get("/v1/lanes", params={field: first})
            assert [lane[field] for lane in lanes.json()] == [first]


async def test_the_body_may_have_as_many_bytes_as_the_setting_says(database: Database, tmp_path: Path) -> None:
    body = orjson.dumps(BODY)
    async with limited(database, tmp_path, max_body_bytes=1024) as running:
        fits = await running.client.post("/v1/deployments", content=body.ljust(1024), headers=JSON)
        exceeds = await running.client.post("/v1/deployments", content=body.ljust(1025), headers=JSON)
    assert (fits.status_code, exceeds.status_code) == (201, 413)


async def test_the_body_may_be_as_deep_as_the_setting_says(database: Database, tmp_path: Path) -> None:
    def nested(levels: int) -> bytes:
        return orjson.dumps({**BODY, "ignored": 0}).replace(b'"ignored":0', b'"x":' + b"[" * levels + b"]" * levels)

    async with limited(database, tmp_path, max_json_depth=5) as running:
        fits = await running.client.post("/v1/deployments", content=nested(4), headers=JSON)
        exceeds = await running.client.post("/v1/deployments", content=nested(5), headers=JSON)
    assert (fits.status_code, exceeds.status_code) == (201, 422)


async def test_work_may_take_as_long_as_the_setting_says(database: Database, tmp_path: Path) -> None:
    async with limited(database, tmp_path, request_timeout_seconds=0.5) as running:
        async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
            await admin.execute(b"lock table rollbook.events in access exclusive mode")
            waited = await create(running)
        assert (waited.status_code, waited.headers["retry-after"]) == (503, "1")
        async with asyncio.timeout(60):
            while (again := await create(running)).status_code == 503:
                pass
        assert again.status_code == 201
