"""Nothing that a connection can carry breaks anything: lies about lengths, slow senders, what is no HTTP at all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson
import pytest

from entrypoints.http.routing import Route
from tests.conftest import Database, Running, running_rollbook, settings_for
from tests.http.hostile import ROUTES, complaint, exchange, in_order, path_of, query_of, with_body

SECONDS = 0.5
CREATE = ROUTES[0]
BODY = orjson.dumps(in_order(CREATE))
GET = b"GET /v1/deployments HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/deployments HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NO_HTTP: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.x\r\n\r\n",
    "a method that is none": b"BREW /v1/deployments HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without a name": GET + b": x\r\n\r\n",
    "a header without a colon": GET + b"nothing\r\n\r\n",
    "a NUL in a header": GET + b"X-Organisation: a\x00b\r\n\r\n",
    "a length that is none": POST + b"Content-Length: ten\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length beyond any": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks of another kind": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a chunk's size that is none": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk's size beyond any": CHUNKED + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
}


@pytest.fixture
async def narrow(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Rollbook that takes heads of 4 KiB and bodies of 2 KiB."""
    limits = {"max_head_bytes": 4096, "max_body_bytes": 2048}
    async with running_rollbook(settings_for(tmp_path, **limits), database) as running:
        yield running
        assert await running.app.log.head() == 0, "something was recorded"


@pytest.fixture
async def impatient(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A Rollbook that waits for half a second only."""
    async with running_rollbook(settings_for(tmp_path, request_timeout_seconds=SECONDS), database) as running:
        yield running
        assert await running.app.log.head() == 0, "something was recorded"


def head(route: Route, *lines: str) -> bytes:
    """The request line and headers of a request that is in order, but for these lines."""
    query = "&".join(f"{name}={value}" for name, value in query_of(route).items())
    return "\r\n".join([f"{route.method} {path_of(route)}?{query} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


async def refused(running: Running, what: str, statuses: set[int], *pieces: bytes, route: Route = CREATE) -> None:
    """One connection; its answer must be one of these refusals, in the shape of the interface."""
    answer = await exchange(running.url, *pieces)
    assert not (wrong := complaint(route, answer, statuses)), f"{what}: {wrong}"
    assert answer.headers.get("connection") == "close", what


async def all_refused(
    running: Running, statuses: set[int], attempts: list[tuple[str, bytes]], routes: Sequence[Route] = ()
) -> None:
    """Many connections at once; what is refused at one of these routes has the shape of its interface."""
    async with asyncio.TaskGroup() as group:
        for what, sent in attempts:
            route = next((one for one in routes if what.startswith(one.path)), CREATE)
            group.create_task(refused(running, what, statuses, sent, route=route))


async def test_what_is_no_http_is_a_400(narrow: Running) -> None:
    await all_refused(narrow, {400}, list(NO_HTTP.items()))


async def test_a_head_beyond_the_limit_is_a_431_at_every_route(narrow: Running) -> None:
    attempts = [(route.path, head(route, f"X-Organisation: {'x' * 5000}")) for route in ROUTES]
    attempts.append(("many headers", head(CREATE, *[f"X-{n}: {n}" for n in range(1000)])))
    attempts.append(("a long address", b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n"))
    attempts.append(("a head without end", GET + b"X-Long: " + b"x" * 70_000))
    await all_refused(narrow, {431}, attempts)


async def test_a_body_beyond_the_limit_is_a_413_however_its_length_is_told(narrow: Running) -> None:
    chunks = (b"400\r\n" + b" " * 1024 + b"\r\n") * 3
    known = [(f"{r.path}, a length", head(r, "Content-Length: 1000000") + b" " * 4096) for r in writing()]
    unknown = [(f"{r.path}, chunks", head(r, "Transfer-Encoding: chunked") + chunks) for r in writing()]
    await all_refused(narrow, {413}, known + unknown, writing())


async def test_a_body_shorter_than_its_length_is_waited_for_only_so_long(impatient: Running) -> None:
    attempts = [(route.path, head(route, "Content-Length: 1000") + b'{"name":') for route in writing()]
    await all_refused(impatient, {408}, attempts, writing())


def writing() -> list[Route]:
    """The routes that read a body whole; to others none is sent, or one of any length."""
    return [route for route in ROUTES if route.method not in ("GET", "HEAD") and not route.consumes]


async def test_who_hangs_up_amid_a_body_has_asked_for_nothing(narrow: Running) -> None:
    for route in with_body():
        sent = orjson.dumps(in_order(route))
        await gone(narrow, head(route, f"Content-Length: {len(sent) + 1}"), sent)


async def gone(running: Running, *pieces: bytes) -> None:
    """A client that leaves before its request is complete; whatever it is told, it is no success."""
    try:
        answer = await exchange(running.url, *pieces, ends=True)
    except IndexError:
        return
    assert answer.status_code == 400


async def test_a_body_longer_than_its_length_is_no_second_request(narrow: Running) -> None:
    answer = await exchange(narrow.url, head(CREATE, "Content-Length: 2") + b"{}" + BODY)
    assert answer.status_code == 422


async def test_a_head_that_comes_drop_by_drop_is_a_408(impatient: Running) -> None:
    await refused(impatient, "half a head", {408}, GET)
    await refused(impatient, "half a line", {408}, b"GE")


async def test_a_body_in_many_small_chunks_is_one_body(narrow: Running) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in b'{"name":1}') + b"0\r\n\r\n"
    answer = await exchange(narrow.url, head(CREATE, "Transfer-Encoding: chunked", "Connection: close"), chunks)
    assert answer.status_code == 422


async def test_a_connection_on_which_nothing_comes_ends(impatient: Running) -> None:
    with pytest.raises(IndexError):
        await exchange(impatient.url)
