"""The feed over a WebSocket: the same events, the same door, and a word at the end about where to go on."""

from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.conftest import Running
from tests.feed.subscriber import deploy, everything
from tests.sharing import own_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")


def talking(running: Running, organisation: str, query: str = "", **headers: str) -> connect:
    """A WebSocket of an organisation."""
    url = f"{running.url.replace('http', 'ws')}/v1/events/ws{query}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return connect(url, additional_headers={"X-Organisation": organisation, **named}, proxy=None)


async def events(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """So many events."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        told = orjson.loads(await socket.recv())
        found += [told] if "event_id" in told else []
    return found


async def test_it_tells_what_the_stream_of_events_tells(quiet: Running) -> None:
    acme = own_organisation()
    await deploy(quiet.client, acme)
    async with talking(quiet, acme, "?from=0") as socket:
        await deploy(quiet.client, acme, version="2")
        whole = await everything(quiet.client, acme)
        assert await events(socket, len(whole)) == whole


async def test_filters_and_positions_are_those_of_the_stream(quiet: Running) -> None:
    acme = own_organisation()
    for number in range(3):
        await deploy(quiet.client, acme, version=str(number))
    first, *rest = await everything(quiet.client, acme, topic="deployment.*")
    async with talking(quiet, acme, f"?topic=deployment.*&from={first['position']}") as socket:
        assert await events(socket, len(rest)) == rest


async def test_it_answers_pings(quiet: Running) -> None:
    async with talking(quiet, own_organisation()) as socket:
        await (await socket.ping())


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/events/ws", {"Origin": "https://evil.example"}, 403),
        ("/v1/events/ws?from=yesterday", {}, 400),
        ("/v1/events/ws?from=1.7", {}, 410),
        ("/v1/events/ws?topic=%25", {}, 422),
        ("/v1/deployments", {}, 404),
    ],
)
async def test_it_is_refused_with_a_status_before_it_opens(
    quiet: Running, path: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(quiet.url.replace("http", "ws") + path, additional_headers=headers, proxy=None):
            raise AssertionError("it was let in")
    answer = refused.value.response
    assert answer.status_code == status
    assert answer.headers["x-error-code"] and answer.headers["x-trace-id"] and answer.headers["x-rollbook-epoch"]


async def test_a_page_that_we_serve_may_open_one(quiet: Running) -> None:
    acme = own_organisation()
    async with talking(quiet, acme, Origin=quiet.url) as socket:
        await deploy(quiet.client, acme)
        assert len(await events(socket, 1)) == 1
