"""Incident bundles: opened where the store is not, they answer as the store did; and nothing is believed unchecked."""

import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import httpx2
import pytest

from adapters.bundles.manifest import BundleRefused
from adapters.bundles.reading import opened
from adapters.embedded.postgres import EmbeddedPostgres
from entrypoints.bundles import answering
from entrypoints.http.read_only import ReadOnly
from tests.conftest import Running, fresh_database
from tests.fleet.histories import Team
from tests.queue.conftest import Queue

pytestmark = pytest.mark.asyncio(loop_scope="session")
SHOWN = (
    "x-rollbook-position",
    "x-rollbook-as-of",
    "x-rollbook-store",
    "x-rollbook-epoch",
    "etag",
    "content-type",
    "link",
)


@asynccontextmanager
async def served(content: bytes, postgres: EmbeddedPostgres, template: str, folder: Path) -> AsyncIterator[Any]:
    """A client of a bundle that is open."""
    path = folder / "incident.zip"
    path.write_bytes(content)
    with opened(path) as bundle, fresh_database(postgres, template) as database:
        async with answering(bundle, database.owner_url, database.app_url, folder) as app:
            transport = httpx2.ASGITransport(ReadOnly(app.api()))
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield client


async def made(queue: Queue, **body: Any) -> bytes:
    """A bundle, as it comes."""
    answer = await queue.client.post("/v1/bundles", json=body, headers=queue.headers)
    assert answer.status_code == 200, answer.text
    content: bytes = answer.content
    return content


def questions(team: Team, first: int, last: int) -> list[str]:
    """What may be asked of a span, at several of its moments."""
    lists = ("/v1/fleet?", "/v1/lanes?", "/v1/lanes/current?", "/v1/deployments?", "/v1/freezes?", "/v1/rules?")
    moments = [first, last, *(p for p in team.positions if first <= p <= last)][:6]
    asked = [f"{path}as_of={position}" for path in lists for position in moments]
    asked += [f"/v1/deployments?status=scheduled&limit=2&as_of={position}" for position in moments]
    asked += [f"/v1/fleet/diff?from={one}&to={other}" for one in moments[:3] for other in moments[:3]]
    return asked


async def test_it_answers_byte_for_byte_as_the_store_that_it_is_from(
    queue: Queue, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    team = Team(queue, 11)
    await team.live(20)
    first = team.positions[-1]
    await team.live(25)
    last = team.positions[-1]
    content = await made(queue, **{"from": str(first), "to": str(last)})
    asked = questions(team, first, last)
    touched = await queue.ask("GET", "/v1/audit/events", params={"from": str(first), "to": str(last), "limit": "100"})
    streams = {event["stream_id"] for event in touched["events"]}
    ids = [one.removeprefix("deployment-") for one in sorted(streams) if one.startswith("deployment-")]
    assert ids
    asked += [f"/v1/deployments/{one}{more}?as_of={last}" for one in ids for more in ("", "/history", "/why")]
    audited = f"/v1/audit/events?from={first}&to={last}&as_of={last}&limit=7&"
    asked += [f"{audited}{more}" for more in ("", "order=oldest", "topic=lane")]
    await team.live(5)
    async with served(content, postgres, template, tmp_path) as client:
        for path in asked:
            original = await queue.client.get(path, headers=queue.headers)
            copy = await client.get(path, headers=queue.headers)
            assert original.status_code == 200, (path, original.text)
            assert copy.content == original.content, path
            assert {h: copy.headers.get(h) for h in SHOWN} == {h: original.headers.get(h) for h in SHOWN}, path


async def test_a_moment_is_the_same_position_there_though_others_recorded_in_between(
    queue: Queue, quiet: Running, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    await queue.live("1")
    first = (await queue.ask("GET", "/v1/fleet"))["position"]
    moments = []
    for number in range(4):
        await Queue(quiet.client, f"{queue.organisation}-neighbour").live(str(number))
        moments.append((await queue.ask("GET", "/v1/fleet"))["at"])
        await queue.live(str(number))
    content = await made(queue, **{"from": str(first)})
    async with served(content, postgres, template, tmp_path) as client:
        for at in moments:
            path = httpx2.URL("/v1/fleet", params={"as_of": at})
            original = await queue.client.get(str(path), headers=queue.headers)
            copy = await client.get(str(path), headers=queue.headers)
            assert (copy.content, copy.headers["etag"]) == (original.content, original.headers["etag"])
        assert f"{queue.organisation}-neighbour".encode() not in unpacked(content)


def unpacked(content: bytes) -> bytes:
    """All that a bundle holds."""
    with ZipFile(io.BytesIO(content)) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())


async def test_it_can_only_be_read_and_knows_nothing_before_its_beginning(
    queue: Queue, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    await queue.live("1")
    first = (await queue.ask("GET", "/v1/fleet"))["position"]
    await queue.live("2")
    async with served(await made(queue, **{"from": str(first)}), postgres, template, tmp_path) as client:
        refused = await client.post("/v1/freezes", json={"reason": "x"}, headers=queue.headers)
        assert (refused.status_code, refused.json()["code"]) == (405, "READ_ONLY")
        misled = await client.get("/v1/fleet", headers={**queue.headers, "Host": "page.example.com:8000"})
        assert (misled.status_code, misled.json()["code"]) == (421, "NOT_HERE")
        early = await client.get(f"/v1/fleet?as_of={first - 1}", headers=queue.headers)
        assert early.status_code == 400
        assert "where this bundle begins" in early.json()["detail"]
        strangers = await client.get("/v1/fleet", headers={"X-Organisation": "somebody-else"})
        assert strangers.json()["lanes"] == []


async def test_of_some_lanes_it_holds_these_alone(
    queue: Queue, postgres: EmbeddedPostgres, template: str, tmp_path: Path
) -> None:
    await queue.live("1", name="till")
    await queue.live("1")
    content = await made(queue, **{"from": "0", "lanes": ["shop"]})
    assert b'"till"' not in unpacked(content)
    async with served(content, postgres, template, tmp_path) as client:
        found = (await client.get("/v1/fleet?name=shop", headers=queue.headers)).json()["lanes"]
        assert [lane["environments"][0]["live"]["version"] for lane in found] == ["1"]
    refused = await queue.client.post("/v1/bundles", json={"from": "0", "lanes": ["nobody"]}, headers=queue.headers)
    assert refused.status_code == 404


async def test_names_are_replaced_where_that_is_asked_for(queue: Queue) -> None:
    await queue.live("1")
    plain, redacted = await made(queue, **{"from": "0"}), await made(queue, **{"from": "0", "redact": True})
    login = people_in(plain)[0]
    chosen = await made(queue, **{"from": "0", "redact": True, "names": {login: "the driver"}})
    assert people_in(redacted) == ["person-1"]
    assert people_in(chosen) == ["the driver"]
    assert manifest_in(redacted)["redacted"] is True


async def test_who_took_it_out_is_on_record(queue: Queue) -> None:
    await queue.live("1")
    await made(queue, **{"from": "0"})
    (export,) = await queue.ask("GET", "/v1/audit/exports")
    assert (export["kind"], export["filters"]) == ("bundle", {"lanes": [], "redact": False})


async def test_while_others_are_made_one_is_asked_to_come_back(queue: Queue, quiet: Running) -> None:
    room = quiet.app.bundling
    async with AsyncExitStack() as stack:
        while not room.locked():
            await stack.enter_async_context(room)
        answer = await queue.client.post("/v1/bundles", json={"from": "0"}, headers=queue.headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
        assert await queue.ask("GET", "/v1/audit/exports") == []
    await queue.live("1")
    await made(queue, **{"from": "0"})


def people_in(content: bytes) -> list[str]:
    with ZipFile(io.BytesIO(content)) as archive:
        return [json.loads(line)["name"] for line in archive.read("people.ndjson").splitlines()]


def manifest_in(content: bytes) -> Any:
    with ZipFile(io.BytesIO(content)) as archive:
        return json.loads(archive.read("manifest.json"))


Change = Callable[[dict[str, bytes]], object]


def altered(content: bytes, change: Change, vouched: bool = False) -> bytes:
    """The bundle with something in it changed; vouched for by a manifest that fits."""
    with ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if vouched:
        manifest = json.loads(files["manifest.json"])
        for part in manifest["parts"]:
            text = files[part["file"]]
            facts = {"bytes": len(text), "lines": text.count(b"\n"), "sha256": hashlib.sha256(text).hexdigest()}
            part.update(facts)
        files["manifest.json"] = json.dumps(manifest).encode()
    made = io.BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made.getvalue()


def swap(name: str, old: bytes, new: bytes) -> Change:
    def change(files: dict[str, bytes]) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return change


HOSTILE: list[tuple[Change, bool]] = [
    (swap("events.ndjson", b'\\"version\\":\\"1\\"', b'\\"version\\":\\"9\\"'), False),
    (swap("events.ndjson", b'\\"version\\":\\"1\\"', b'\\"version\\":\\"9\\"'), True),
    (swap("events.ndjson", b'"topic" : "deployment.deployed"', b'"topic" : "deployment.failed"'), True),
    (swap("events.ndjson", b'"position" : ', b'"position" : 9'), True),
    (swap("timeline.ndjson", b"recorded_at", b"recorded"), True),
    (swap("views/lanes_v2.ndjson", b'"from_position":', b'"from_position":"x","f":'), True),
    (swap("views/lanes_v2.ndjson", b'"organisation":"acme', b'"organisation":"bcme'), True),
    (swap("people.ndjson", b"{", b"["), True),
    (swap("manifest.json", b'"format": 1', b'"format": 2'), False),
    (swap("manifest.json", b'"events.ndjson"', b'"../../etc/passwd"'), False),
    (lambda files: files.update({"more.ndjson": b"{}\n"}), False),
    (lambda files: files.pop("manifest.json"), False),
    (lambda files: files.pop("events.ndjson"), False),
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
async def test_what_was_changed_is_refused(
    queue: Queue, postgres: EmbeddedPostgres, template: str, tmp_path: Path, number: int
) -> None:
    await queue.live("1")
    content = altered(await made(queue, **{"from": "0"}), *HOSTILE[number])
    with pytest.raises(BundleRefused):
        async with served(content, postgres, template, tmp_path):
            pass


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(100)])
async def test_what_is_no_bundle_is_refused(
    postgres: EmbeddedPostgres, template: str, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(BundleRefused):
        async with served(content, postgres, template, tmp_path):
            pass


@pytest.mark.parametrize("body", [{}, {"from": "soon"}, {"from": "9999999999"}, {"from": "0", "lane": []}])
async def test_what_is_no_span_is_refused(queue: Queue, body: dict[str, Any]) -> None:
    answer = await queue.client.post("/v1/bundles", json=body, headers=queue.headers)
    assert answer.status_code in (400, 422)
