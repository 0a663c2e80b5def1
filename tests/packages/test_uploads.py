"""Large files come piece by piece, over as many requests as it takes."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio

import adapters.uploads
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.packages.files import write_json
from adapters.uploads import Uploads
from domain.errors import NotFound
from entrypoints.http.uploads import OFFSET_STREAM
from tests.conftest import Running, fresh_database, running_rollbook, settings_for
from tests.packages.made import INFO, packed, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
MOST = 1 << 20
GLOBEX = {"x-organisation": "globex"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """One Rollbook for all of these tests, each of which has an organisation of its own."""
    with fresh_database(postgres, template) as database:
        settings = settings_for(tmp_path_factory.mktemp("uploads"), max_upload_bytes=MOST)
        async with running_rollbook(settings, database) as running:
            yield running


class Sender:
    """A client of tus."""

    def __init__(self, rollbook: Running, organisation: str) -> None:
        self.client = rollbook.client
        self.app = rollbook.app
        self.organisation = organisation
        self.headers = {"x-organisation": organisation}

    async def begin(self, length: int, expect: int = 201, **headers: str) -> str:
        answered = await self.client.post(
            "/api/uploads", headers={**self.headers, "upload-length": str(length), **headers}
        )
        assert answered.status_code == expect, answered.text
        return str(answered.headers.get("location", ""))

    async def send(self, place: str, offset: int, content: Any, expect: int = 204, **headers: str) -> httpx2.Response:
        told = {
            **self.headers,
            "content-type": OFFSET_STREAM,
            "upload-offset": str(offset),
            "tus-resumable": "1.0.0",
            **headers,
        }
        answered = await self.client.patch(place, headers=told, content=content)
        assert answered.status_code == expect, answered.text
        return answered

    async def offset(self, place: str) -> int:
        answered = await self.client.head(place, headers=self.headers)
        assert answered.status_code == 200
        return int(answered.headers["upload-offset"])

    async def content(self, place: str) -> bytes:
        return await whole(self.app.uploads.content(self.organisation, UUID(place.rpartition("/")[2])))


@pytest.fixture
def sender(running: Running, request: pytest.FixtureRequest) -> Sender:
    return Sender(running, hashlib.sha256(request.node.name.encode()).hexdigest()[:20])


async def test_a_file_comes_in_pieces(sender: Sender) -> None:
    content = os.urandom(100_000)
    place = await sender.begin(len(content), 201, **{"upload-metadata": "filename Y3VzdG9tZXJz"})
    assert await sender.offset(place) == 0
    answered = await sender.send(place, 0, content[:70_000])
    assert answered.headers["upload-offset"] == "70000"
    assert await sender.offset(place) == 70_000
    await sender.send(place, 70_000, content[70_000:])
    assert await sender.content(place) == content
    shown = await sender.client.head(place, headers=sender.headers)
    assert shown.headers["upload-metadata"] == "filename Y3VzdG9tZXJz"
    assert shown.headers["upload-length"] == "100000"
    assert shown.headers["cache-control"] == "no-store"


async def test_long_pieces_are_kept_in_parts(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters.uploads, "PIECE", 1000)
    content = os.urandom(4500)
    place = await sender.begin(len(content))
    await sender.send(place, 0, content)
    assert await sender.content(place) == content


async def test_what_came_before_a_broken_connection_is_kept(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    came, add = asyncio.Event(), sender.app.uploads.add

    async def watched(organisation: str, upload_id: UUID, offset: int, chunks: AsyncIterator[bytes]) -> int:
        async def seen() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                came.set()
                yield chunk

        return await add(organisation, upload_id, offset, seen())

    place = await sender.begin(10_000)
    monkeypatch.setattr(sender.app.uploads, "add", watched)
    _, writer = await asyncio.open_connection(sender.client.base_url.host, sender.client.base_url.port)
    head = f"PATCH {place} HTTP/1.1\r\nhost: x\r\nx-organisation: {sender.organisation}\r\n"
    writer.write(
        f"{head}content-type: {OFFSET_STREAM}\r\nupload-offset: 0\r\ncontent-length: 10000\r\n\r\n".encode()
        + b"x" * 4000
    )
    await asyncio.wait_for(came.wait(), 20)
    writer.close()
    async with asyncio.timeout(20):
        while (offset := await sender.offset(place)) == 0:
            await asyncio.sleep(0.01)
    await sender.send(place, offset, b"y" * (10_000 - offset))
    assert offset == 4000
    assert await sender.content(place) == b"x" * 4000 + b"y" * 6000


async def test_a_piece_for_another_place_is_refused(sender: Sender) -> None:
    place = await sender.begin(10)
    await sender.send(place, 5, b"12345", expect=409)
    await sender.send(place, 0, b"12345")
    await sender.send(place, 0, b"12345", expect=409)
    assert await sender.offset(place) == 5


async def test_of_two_that_send_at_once_one_wins(sender: Sender) -> None:
    place = await sender.begin(2000)

    async def slowly(letter: bytes) -> int:
        async def body() -> AsyncIterator[bytes]:
            yield letter * 1000
            await asyncio.sleep(0)
            yield letter * 1000

        told = {**sender.headers, "content-type": OFFSET_STREAM, "upload-offset": "0"}
        return (await sender.client.patch(place, headers=told, content=body())).status_code

    assert sorted(await asyncio.gather(slowly(b"a"), slowly(b"b"))) == [204, 409]
    assert await sender.content(place) in (b"a" * 2000, b"b" * 2000)


async def test_more_than_was_told_is_refused(sender: Sender) -> None:
    place = await sender.begin(3)
    await sender.send(place, 0, b"1234", expect=413)
    assert await sender.content(place) == b"123"


async def test_what_is_not_complete_is_not_imported(sender: Sender) -> None:
    place = await sender.begin(3)
    await sender.send(place, 0, b"12")
    answered = await sender.client.post(f"{place}/import", headers=sender.headers, json={})
    assert answered.status_code == 409
    assert "2 of 3" in answered.json()["error"]


async def test_an_upload_becomes_a_package(sender: Sender) -> None:
    manifest = await packed(sender.app.packages.store)
    content = await whole(write_json(manifest, INFO, sender.app.packages.store))
    place = await sender.begin(len(content))
    await sender.send(place, 0, content)
    headers = {**sender.headers, "idempotency-key": "once"}
    answered, again = [
        await sender.client.post(f"{place}/import", headers=headers, json={"environment": "staging"}) for _ in range(2)
    ]
    assert answered.status_code == 201, answered.text
    assert again.json() == answered.json()
    record = answered.json()["package"]
    assert (record["name"], record["version"], record["environment"]) == ("customer-data", "1.0.0", "staging")
    listed = (await sender.client.get("/api/packages", headers=sender.headers)).json()["packages"]
    assert [one["id"] for one in listed] == [record["id"]]


async def test_a_file_that_is_no_package_is_refused_and_the_upload_stays(sender: Sender) -> None:
    place = await sender.begin(2)
    await sender.send(place, 0, b"{}")
    answered = await sender.client.post(f"{place}/import", headers=sender.headers, json={})
    assert answered.status_code == 400 and "neither" in answered.json()["error"]
    assert await sender.offset(place) == 2


async def test_nobody_else_sees_an_upload(sender: Sender) -> None:
    place = await sender.begin(3)
    assert (await sender.client.head(place, headers=GLOBEX)).status_code == 404
    assert (await sender.client.delete(place, headers=GLOBEX)).status_code == 404
    assert (await sender.client.post(f"{place}/import", headers=GLOBEX, json={})).status_code == 404
    told = {**GLOBEX, "content-type": OFFSET_STREAM, "upload-offset": "0"}
    assert (await sender.client.patch(place, headers=told, content=b"123")).status_code == 404
    assert await sender.offset(place) == 0


async def test_a_deleted_upload_is_gone(sender: Sender) -> None:
    place = await sender.begin(3)
    assert (await sender.client.delete(place, headers=sender.headers)).status_code == 204
    assert (await sender.client.head(place, headers=sender.headers)).status_code == 404
    await sender.send(place, 0, b"123", expect=404)


@pytest.mark.parametrize("length", ["", "-1", "1e3", "x", "9" * 30])
async def test_a_length_that_is_none_is_refused(length: str, sender: Sender) -> None:
    answered = await sender.client.post("/api/uploads", headers={**sender.headers, "upload-length": length})
    assert answered.status_code == 400


async def test_another_version_of_the_protocol_is_refused(sender: Sender) -> None:
    await sender.begin(3, expect=412, **{"tus-resumable": "0.2.2"})
    place = await sender.begin(3)
    await sender.send(place, 0, b"123", expect=412, **{"tus-resumable": "2.0.0"})
    await sender.send(place, 0, b"123", expect=415, **{"content-type": "application/json"})


async def test_what_is_spoken_is_told(sender: Sender) -> None:
    answered = await sender.client.request("OPTIONS", "/api/uploads")
    assert answered.status_code == 204
    assert answered.headers["tus-version"] == "1.0.0"
    assert "creation" in answered.headers["tus-extension"]


async def test_there_are_limits(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters.uploads, "MOST_UPLOADS", 2)
    await sender.begin(MOST + 1, expect=413)
    await sender.begin(MOST)
    await sender.begin(1)
    await sender.begin(1, expect=409)
    monkeypatch.setattr(adapters.uploads, "MOST_UPLOADS", 3)
    place = await sender.begin(10)
    monkeypatch.setattr(adapters.uploads, "MOST_PIECES", 2)
    await sender.send(place, 0, b"1")
    await sender.send(place, 1, b"2", expect=409)


async def test_what_is_too_old_is_forgotten(sender: Sender) -> None:
    uploads = sender.app.uploads
    await sender.begin(1)
    old = Uploads(uploads.pools, uploads.store, MOST, timedelta(seconds=-1))
    upload = await old.begin(sender.organisation, 10, "")
    with pytest.raises(NotFound):
        await uploads.state(sender.organisation, upload.upload_id)
    assert (await uploads.expire(), await uploads.expire()) == (1, 0)
