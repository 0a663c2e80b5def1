"""Who takes nothing, and processes that end: nobody else notices, and whoever comes back goes on where they were."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from time import monotonic

import httpx2
import psycopg
import pytest
from prometheus_client import REGISTRY
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.feed.subscription import Subscription
from adapters.feed.wanted import Wanted
from domain.errors import Unavailable
from tests.conftest import Database, Running, open_folder, running_rollbook, settings_for
from tests.faults.instance import Instance
from tests.feed.subscriber import SECONDS, deploy, everything, listening
from tests.process.conftest import started

# More than the system keeps for a connection on both of its sides.
MANY = 60
LONG = "x" * 100_000


@pytest.fixture
async def hasty(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Rollbook that waits for nobody for long."""
    settings = settings_for(tmp_path, feed_stall_seconds=1, feed_heartbeat_seconds=0.5)
    async with running_rollbook(settings, database) as running:
        yield running


async def stalled(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A subscriber from the beginning who takes nothing but the head, over a connection that holds little."""
    where = httpx2.URL(url)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, (where.host, where.port))
    reader, writer = await asyncio.open_connection(sock=narrow, limit=2**10)
    writer.write(b"GET /v1/events?from=0 HTTP/1.1\r\nhost: x\r\nx-organisation: acme\r\n\r\n")
    await writer.drain()
    return reader, writer


async def fill(running: Running) -> None:
    """More than a connection holds."""
    for number in range(MANY):
        await deploy(running.client, "acme", version=str(number), notes=LONG, description=LONG)


async def events_until_closed(socket: ClientConnection, found: list[str]) -> None:
    """Reads texts until there are no more, which is an error."""
    while True:
        found.append(str(await asyncio.wait_for(socket.recv(), SECONDS)))


async def gone(running: Running) -> None:
    """Until nobody reads along any more."""
    async with asyncio.timeout(SECONDS):
        while running.app.feed.members:
            await asyncio.sleep(0.05)


def dropped() -> float:
    """How many were too slow, as it is counted."""
    return REGISTRY.get_sample_value("rollbook_feed_dropped_total") or 0.0


@pytest.mark.faults
async def test_who_takes_nothing_is_dropped_with_a_place_to_go_on_from_and_nobody_else_waits(hasty: Running) -> None:
    before = dropped()
    await fill(hasty)
    reader, writer = await stalled(hasty.url)
    async with listening(hasty.client, "acme", from_="0") as quick:
        whole = await everything(hasty.client, "acme")
        assert await quick.events(len(whole)) == whole
    await gone(hasty)
    assert dropped() == before + 1
    async with asyncio.timeout(SECONDS):
        told = (await reader.read(2**30)).decode()
        while piece := await reader.read(2**20):
            told += piece.decode()
    writer.close()
    last = [line.removeprefix("id: ") for line in told.splitlines() if line.startswith("id: ")][-1]
    assert f"too slow; resume after {last}" in told
    taken = {json.loads(line.removeprefix("data: "))["sequence"] for line in told.splitlines() if line[:5] == "data:"}
    async with listening(hasty.client, "acme", last, follow="false") as again:
        rest = {block.told["sequence"] for block in await again.rest() if block.event}
    assert sorted([*taken, *rest]) == [one["sequence"] for one in whole]


@pytest.mark.faults
async def test_over_a_websocket_who_takes_nothing_is_told_so(hasty: Running) -> None:
    await fill(hasty)
    url = f"{hasty.url.replace('http', 'ws')}/v1/events/ws?from=0"
    headers = {"X-Organisation": "acme"}
    async with connect(url, additional_headers=headers, proxy=None, max_queue=1, ping_interval=None) as socket:
        await gone(hasty)
        texts: list[str] = []
        with pytest.raises(ConnectionClosed) as closed:
            await events_until_closed(socket, texts)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013
    place = int(closed.value.rcvd.reason.partition("from=")[2])
    taken = {json.loads(text)["position"] for text in texts if "event_id" in text}
    whole = {one["position"] for one in await everything(hasty.client, "acme")}
    assert taken < whole == taken | {position for position in whole if position > place}


async def test_silence_is_filled_with_how_far_the_feed_has_come(hasty: Running) -> None:
    async with listening(hasty.client, "acme", topic="nothing.*") as made:
        await deploy(hasty.client, "acme")
        position = await hasty.app.log.head()
        while (block := await made.block()) is not None and int(block.id) < position:
            assert not block.event


async def test_a_request_behind_a_stream_does_not_keep_it_open_when_the_client_has_gone(hasty: Running) -> None:
    _, writer = await stalled(hasty.url)
    writer.write(b"GET /v1/lanes HTTP/1.1\r\nhost: x\r\nx-organisation: acme\r\n\r\n")
    await writer.drain()
    async with asyncio.timeout(SECONDS):
        while not hasty.app.feed.members:
            await asyncio.sleep(0.02)
    writer.transport.abort()
    await gone(hasty)


@pytest.mark.parametrize("limit", ["feed_subscribers", "feed_subscribers_per_organisation"])
async def test_beyond_the_limit_nobody_else_is_let_in(database: Database, tmp_path: Path, limit: str) -> None:
    async with running_rollbook(settings_for(tmp_path, **{limit: 1}), database) as running:
        async with listening(running.client, "acme", from_="0"):
            answer = await running.client.get("/v1/events", headers={"X-Organisation": "acme"})
            assert answer.status_code == {"feed_subscribers": 503}.get(limit, 429)
            assert answer.headers["retry-after"]
        await gone(running)
        async with listening(running.client, "acme", from_="0"):
            pass


async def test_many_who_come_at_once_are_not_more_than_may_be(database: Database, tmp_path: Path) -> None:
    async with running_rollbook(settings_for(tmp_path, feed_subscribers=1), database) as running:
        await deploy(running.client, "acme")
        feed = running.app.feed
        for _ in range(2):
            feed.refuse_more("acme")
        first, second = (Subscription(feed, "acme", Wanted(), 0).pieces() for _ in range(2))
        async with aclosing(first), aclosing(second):
            assert (await anext(first)).told
            with pytest.raises(Unavailable):
                await anext(second)
        assert feed.members == {}


@pytest.mark.faults
async def test_a_process_that_ends_lets_its_subscribers_go_at_once(servers: dict[str, str]) -> None:
    with open_folder("draining") as folder:
        async with started(folder, **servers) as instance:
            headers = {"X-Organisation": "acme"}
            url = f"{instance.url.replace('http', 'ws')}/v1/events/ws"
            async with (
                httpx2.AsyncClient(base_url=instance.url, timeout=SECONDS) as client,
                connect(url, additional_headers=headers, proxy=None) as socket,
            ):
                await deploy(client, "acme")
                async with listening(client, "acme", from_="0") as made:
                    began = monotonic()
                    assert instance.process is not None
                    instance.process.terminate()
                    blocks = await made.rest()
                    with pytest.raises(ConnectionClosed) as closed:
                        await events_until_closed(socket, [])
                    assert await asyncio.wait_for(instance.process.wait(), SECONDS) == 0
                    assert monotonic() - began < 10
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    assert "resume from=" in closed.value.rcvd.reason
    assert "resume after" in blocks[-1].comment and blocks[-1].id == blocks[-2].id


@pytest.mark.faults
async def test_after_a_restore_readers_are_let_go_and_what_they_kept_is_refused(
    servers: dict[str, str], database: Database
) -> None:
    with open_folder("restored") as folder:
        async with started(folder, **servers) as instance, client_of(instance) as client:
            await deploy(client, "acme")
            async with listening(client, "acme", from_="0") as made:
                last = (await made.next()).id
                with psycopg.connect(database.admin_url, autocommit=True) as admin:
                    admin.execute("update rollbook.identity set epoch = 7")
                assert "resume after" in (await made.rest())[-1].comment
            answer = await asked_again(client, last)
            assert (answer.status_code, answer.json()["code"]) == (410, "EPOCH_OVER")
            async with listening(client, "acme", "0", follow="false") as anew:
                blocks = [block for block in await anew.rest() if block.event]
            assert blocks[0].id == f"{last}.7" and blocks[0].told["epoch"] == 7
            async with listening(client, "acme", blocks[-2].id, follow="false") as again:
                assert [b.id for b in await again.rest() if b.event] == [blocks[-1].id]


def client_of(instance: Instance) -> httpx2.AsyncClient:
    """Somebody who asks this process."""
    return httpx2.AsyncClient(base_url=instance.url, timeout=SECONDS)


async def asked_again(client: httpx2.AsyncClient, last: str) -> httpx2.Response:
    """What the feed answers to an old position, as soon as the process has begun anew."""
    headers = {"X-Organisation": "acme", "Last-Event-ID": last}
    async with asyncio.timeout(SECONDS):
        while True:
            with suppress(httpx2.RequestError):
                answer = await client.get("/v1/events", headers=headers)
                if answer.status_code != 503:
                    return answer
            await asyncio.sleep(0.05)
