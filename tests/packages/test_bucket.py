"""What a bucket must do beside keeping blobs: keep stores apart, stay tidy, say clearly what it refuses."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx2
import pytest
from pydantic import SecretStr

from adapters.blobs.choosing import blobs_of, log_blobs_of
from adapters.blobs.store import Blobs
from adapters.package_settings import PackageSettings
from adapters.packages.sweeping import UNUSED, Sweeper
from adapters.postgres.job_logs import JobLogs
from adapters.postgres.job_runs import JobRuns
from adapters.reachability import checked
from adapters.settings import Settings
from domain.errors import Unavailable
from tests.conftest import Running
from tests.packages.conftest import pieces

PASSED_ON = ("content-type", "authorization", "etag")


@pytest.fixture
def later() -> datetime:
    """A moment at which everything of today is old."""
    return datetime.now(UTC) + UNUSED + timedelta(hours=1)


@pytest.fixture
def packages(bucket: PackageSettings, tmp_path: Path) -> Blobs:
    """Where packages lie."""
    return blobs_of(in_a_place_of_its_own(bucket), tmp_path)


def in_a_place_of_its_own(bucket: PackageSettings) -> PackageSettings:
    """Settings that no other test shares."""
    return bucket.model_copy(update={"blobs_url": f"s3://parts/{uuid4().hex}"})


async def digests(blobs: Blobs, before: datetime) -> list[str]:
    """What was put before a moment."""
    return [blob.digest async for blob in blobs.kept_before(before)]


async def read(logs: JobLogs, job: UUID) -> bytes:
    """The whole log of a job."""
    return b"".join([piece async for piece in logs.read("acme", job, 0)])


async def test_logs_of_jobs_are_blobs_in_the_bucket_until_they_are_old(
    rollbook: Running, bucket: PackageSettings, tmp_path: Path, later: datetime
) -> None:
    settings, job = in_a_place_of_its_own(bucket), uuid4()
    packages, blobs = blobs_of(settings, tmp_path), log_blobs_of(settings, tmp_path)
    logs = JobLogs(JobRuns(rollbook.app.pools), blobs)
    await logs.write("acme", job, 1, ["first", "second"])
    before = await read(logs, job)
    kept = await logs.keep("acme", job)
    assert kept is not None and await read(logs, job) == before
    assert (await digests(blobs, later), await digests(packages, later)) == ([kept.digest], [])
    assert await Sweeper(rollbook.app.pools, packages).sweep(later) == 0
    assert await read(logs, job) == before
    assert await logs.forget(datetime.now(UTC) - timedelta(days=1)) == 0
    assert await logs.forget(later) == 1
    assert (await digests(blobs, later), await read(logs, job)) == ([], b"")


async def test_what_nothing_refers_to_is_swept_from_the_bucket_and_no_log_with_it(
    rollbook: Running, bucket: PackageSettings, tmp_path: Path, later: datetime
) -> None:
    settings = in_a_place_of_its_own(bucket)
    packages, logs = blobs_of(settings, tmp_path), log_blobs_of(settings, tmp_path)
    same = [await store.put(pieces(b"the same bytes")) for store in (packages, logs)]
    assert same[0] == same[1]
    assert await Sweeper(rollbook.app.pools, packages).sweep(later) == 1
    assert (await packages.size(same[0].digest), await logs.size(same[1].digest)) == (None, 14)


@contextmanager
def failing_at_the_second_part(bucket: PackageSettings) -> Iterator[str]:
    """The address of a way to the bucket on which only the second part of an upload does not arrive."""
    first_is_there = Event()

    class Way(BaseHTTPRequestHandler):
        """Passes requests on."""

        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if "partNumber=2" in self.path:
                first_is_there.wait(20)
                return self.answer(400, b"", {})
            url = f"{bucket.blobs_endpoint}{self.path}"
            headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON}
            with httpx2.Client(trust_env=False) as client:
                answered = client.request(self.command, url, content=body, headers=headers)
            self.answer(answered.status_code, answered.content, dict(answered.headers))
            if "partNumber=1" in self.path:
                first_is_there.set()

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name in headers.keys() & PASSED_ON:
                self.send_header(name, headers[name])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


async def test_an_upload_in_parts_that_fails_leaves_no_parts_behind(bucket: PackageSettings, tmp_path: Path) -> None:
    async def many() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield os.urandom(1 << 20)

    with failing_at_the_second_part(bucket) as address:
        settings = in_a_place_of_its_own(bucket).model_copy(update={"blobs_endpoint": address})
        with pytest.raises(Unavailable):
            await blobs_of(settings, tmp_path).put(many())
    with httpx2.Client(trust_env=False) as client:
        unfinished = client.get(f"{bucket.blobs_endpoint}/parts", params={"uploads": ""})
    assert unfinished.status_code == 200
    assert "<Upload>" not in unfinished.text


@contextmanager
def asking_who_is_there(bucket: PackageSettings) -> Iterator[None]:
    """The server looks at the keys that it is shown."""
    address = urlsplit(bucket.blobs_endpoint or "")
    with httpx2.Client(trust_env=False, base_url=f"http://{address.netloc}") as client:
        client.post("/moto-api/reset-auth", content="0").raise_for_status()
        try:
            yield
        finally:
            client.post("/moto-api/reset-auth", content="inf").raise_for_status()


async def problem_of(settings: PackageSettings) -> str:
    """What `rollbook config --check` says of a bucket."""
    named = {name: value for name, value in settings.model_dump().items() if name.startswith("blobs_")}
    return (await checked(Settings(**named)))["blobs"]


async def test_a_bucket_that_can_be_written_to_has_no_problem(bucket: PackageSettings) -> None:
    assert await problem_of(in_a_place_of_its_own(bucket)) == ""


async def test_keys_that_a_server_refuses_are_told_and_not_shown(bucket: PackageSettings, tmp_path: Path) -> None:
    with asking_who_is_there(bucket):
        problem = await problem_of(bucket)
        with pytest.raises(Unavailable, match="keys are refused"):
            await blobs_of(bucket, tmp_path).put(pieces(b"x"))
    assert "the bucket's keys are refused" in problem and "hunter2" not in problem


async def test_a_bucket_that_is_not_there_is_told(bucket: PackageSettings) -> None:
    elsewhere = bucket.model_copy(update={"blobs_url": "s3://nowhere/x"})
    assert "or the bucket, are not there" in await problem_of(elsewhere)


async def test_a_server_that_does_not_answer_is_told_without_its_keys() -> None:
    gone = PackageSettings(
        blobs_url="s3://parts",
        blobs_endpoint="http://127.0.0.1:9",
        blobs_access_key=SecretStr("key"),
        blobs_secret_key=SecretStr("hunter2"),
    )
    problem = await problem_of(gone)
    assert "answer" in problem and "hunter2" not in problem
