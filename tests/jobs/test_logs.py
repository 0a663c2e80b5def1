"""What handlers write is lines while a job may go on, then a blob; and how far they are is heard by whoever listens."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import nats
import orjson
import pytest

from adapters.nats.job_queue import live_subject
from application.handlers import Attempt, Handler
from application.jobs import CancelJob, RetryJob, cancel_job, retry_job
from application.ports.job_queue import WaitingJob
from domain.errors import Invalid
from entrypoints.workers import attempt as attempt_module
from entrypoints.workers.job_keeping import JobKeeping
from tests.conftest import Running
from tests.jobs.conftest import Jobs
from tests.queue.conftest import ACME


async def talking(attempt: Attempt) -> dict[str, Any]:
    """Writes three lines and fails."""
    for n in range(3):
        attempt.log(f"line {n} of try {attempt.fence}")
    raise Invalid("Enough")


TALKING = Handler("TALKING", "talking", "talking", talking)


def at_work(jobs: Jobs, *handlers: Handler) -> None:
    """Starts everything."""
    jobs.handle(*handlers)
    jobs.app.handlers |= jobs.handlers
    jobs.dispatch()
    jobs.work()


async def count(jobs: Jobs, table: str, job: UUID) -> int:
    """Rows of a table that are about a job."""
    query = f"select count(*) from rollbook.{table} where job_id = %s"
    return int((await jobs.app.runs.look(query, [job]))[0][0])


async def until_kept(jobs: Jobs, job: UUID, parts: int) -> None:
    """Until the log is that many blobs, and no lines are left."""
    async with asyncio.timeout(30):
        while (await count(jobs, "job_log_parts", job), await count(jobs, "job_logs", job)) != (parts, 0):
            await asyncio.sleep(0.05)


async def text_of(rollbook: Running, job: UUID, **query: Any) -> str:
    """The log as users read it."""
    answered = await rollbook.client.get(f"/api/jobs/talking-{job}/logs", headers=ACME, params=query)
    assert answered.status_code == 200
    return answered.text


def said(text: str) -> list[str]:
    """The lines, without when they were written, which is told in UTC."""
    assert all(line.split(" ")[0].endswith("Z") for line in text.splitlines())
    return [line.split("] ", 1)[1] for line in text.splitlines()]


async def test_the_log_of_a_job_that_has_ended_is_a_blob_and_reads_as_before(jobs: Jobs, rollbook: Running) -> None:
    at_work(jobs, TALKING)
    job = await jobs.ask("TALKING")
    await jobs.until(job, "failed")
    await until_kept(jobs, job, 1)
    first = await text_of(rollbook, job)
    await jobs.run(retry_job, RetryJob(job))
    await until_kept(jobs, job, 2)
    both = await text_of(rollbook, job)
    assert said(both) == [f"line {n} of try {fence}" for fence in (1, 2) for n in range(3)]
    assert both.startswith(first)
    assert await text_of(rollbook, job, offset=len(first) - 10) == both[len(first) - 10 :]


async def test_a_log_reads_the_same_from_any_byte_on_before_and_after_it_became_a_blob(jobs: Jobs) -> None:
    job = await jobs.ask("TALKING")
    await jobs.app.logs.write("acme", job, 1, ["first", "zweite: ä", "x" * 5000])

    async def read(offset: int) -> bytes:
        return b"".join([piece async for piece in jobs.app.logs.read("acme", job, offset)])

    whole = await read(0)
    places = (0, 1, 40, len(whole) - 1, len(whole), len(whole) + 7)
    assert [await read(place) for place in places] == [whole[place:] for place in places]
    kept = await jobs.app.logs.keep("acme", job)
    assert kept is not None
    assert kept.size == len(whole)
    assert [await read(place) for place in places] == [whole[place:] for place in places]
    assert await jobs.app.logs.keep("acme", job) is None
    await jobs.app.logs.write("acme", job, 2, ["more"])
    assert said((await read(len(whole))).decode()) == ["more"]


async def test_another_organisation_reads_no_line(jobs: Jobs) -> None:
    job = await jobs.ask("TALKING")
    await jobs.app.logs.write("acme", job, 1, ["ours"])
    assert [piece async for piece in jobs.app.logs.read("globex", job, 0)] == []
    assert await jobs.app.logs.keep("globex", job) is None
    await jobs.app.logs.keep("acme", job)
    assert [piece async for piece in jobs.app.logs.read("globex", job, 0)] == []


async def test_logs_that_are_old_are_forgotten_with_their_blobs(jobs: Jobs, tmp_path: Path) -> None:
    job = await jobs.ask("TALKING")
    await jobs.app.logs.write("acme", job, 1, ["old"])
    kept = await jobs.app.logs.keep("acme", job)
    assert kept is not None
    assert await jobs.app.logs.forget(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await jobs.app.logs.forget(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert await jobs.app.logs.blobs.size(kept.digest) is None
    assert [piece async for piece in jobs.app.logs.read("acme", job, 0)] == []


async def test_housekeeping_keeps_logs_that_dead_workers_left_and_forgets_old_progress(jobs: Jobs) -> None:
    ended, goes_on = await jobs.ask("TALKING"), await jobs.ask("TALKING")
    for job in (ended, goes_on):
        await jobs.app.runs.beat("acme", job, 1, {"done": 1})
        await jobs.app.logs.write("acme", job, 1, ["left"])
    await jobs.run(cancel_job, CancelJob(ended))
    await jobs.until(ended, "cancelled")
    await JobKeeping(jobs.app).round()
    assert (await count(jobs, "job_log_parts", ended), await count(jobs, "job_logs", ended)) == (1, 0)
    assert (await count(jobs, "job_log_parts", goes_on), await count(jobs, "job_logs", goes_on)) == (0, 1)
    assert await jobs.app.runs.forget(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert set(await jobs.app.runs.progress("acme", [ended, goes_on])) == {str(goes_on)}


async def test_lines_without_end_are_cut_off(jobs: Jobs, rollbook: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_module, "MOST_LINES", 2)
    monkeypatch.setattr(attempt_module, "LONGEST_LINE", 11)
    at_work(jobs, TALKING)
    job = await jobs.ask("TALKING")
    await jobs.until(job, "failed")
    await until_kept(jobs, job, 1)
    cut = ["line 0 of t", "line 1 of t", "What follows the first 2 lines is left out"]
    assert said(await text_of(rollbook, job)) == cut


async def test_progress_is_heard_while_it_is_made_and_how_it_ended(jobs: Jobs) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    go_on = asyncio.Event()

    async def counting(attempt: Attempt) -> dict[str, Any]:
        attempt.progress(done=1, total=2, table="customers", share=float("nan"))
        await go_on.wait()
        attempt.progress(done=2)
        return {}

    async def hear(message: Any) -> None:
        heard.put_nowait(orjson.loads(message.data))

    client = await nats.connect(jobs.nats_url)
    job = await jobs.ask("COUNTING")
    await client.subscribe(live_subject(WaitingJob("acme", job, 5, 1)), cb=hear)
    await client.flush()
    at_work(jobs, Handler("COUNTING", "counting", "counting", counting))
    first = await asyncio.wait_for(heard.get(), 20)
    assert (first["job_id"], first["status"]) == (str(job), "processing")
    assert {name: first["progress"][name] for name in ("done", "total", "table", "share")} == {
        **{"done": 1, "total": 2, "table": "customers", "share": None}
    }
    assert {"rate", "seconds_left", "seconds"} <= first["progress"].keys()
    go_on.set()
    async with asyncio.timeout(20):
        while (last := await heard.get())["status"] == "processing":
            pass
    assert (last["status"], last["progress"]["done"]) == ("completed", 2)
    await client.close()


async def test_progress_is_told_a_few_times_a_second_however_often_it_is_made_and_to_its_organisation(
    jobs: Jobs,
) -> None:
    heard: list[dict[str, Any]] = []
    heard_elsewhere: list[Any] = []
    enough = asyncio.Event()

    async def restless(attempt: Attempt) -> dict[str, Any]:
        done = 0
        while not enough.is_set():
            attempt.progress(done=(done := done + 1))
            await asyncio.sleep(0)
        return {}

    async def hear(message: Any) -> None:
        heard.append(orjson.loads(message.data))
        if len(heard) == 4:
            enough.set()

    async def hear_elsewhere(message: Any) -> None:
        heard_elsewhere.append(message)

    client = await nats.connect(jobs.nats_url)
    await client.subscribe("rollbook-live.acme.>", cb=hear)
    await client.subscribe("rollbook-live.globex.>", cb=hear_elsewhere)
    await client.flush()
    at_work(jobs, Handler("RESTLESS", "restless", "restless", restless))
    job = await jobs.ask("RESTLESS")
    await asyncio.wait_for(enough.wait(), 20)
    await jobs.until(job, "completed")
    await client.close()
    told = [datetime.fromisoformat(one["at"]) for one in heard[:4]]
    assert min(later - earlier for earlier, later in pairwise(told)) > timedelta(seconds=0.2)
    assert heard_elsewhere == []


def test_a_subject_holds_no_more_than_its_four_tokens() -> None:
    job = WaitingJob("a.*.>", UUID(int=1), 5, 1)
    assert live_subject(job) == f"rollbook-live.a%2E%2A%2E%3E.job.{UUID(int=1)}"
