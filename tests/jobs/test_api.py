"""Jobs over HTTP, in the words of the packages document."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.postgres.conditions import Condition, equals, one_of
from application.handlers import Attempt, Handler
from application.jobs import CancelJob, cancel_job
from projections.registry import JOBS
from tests.conftest import Running
from tests.jobs.conftest import Jobs
from tests.queue.conftest import ACME


async def echo(attempt: Attempt) -> dict[str, Any]:
    """Says what it was asked."""
    attempt.progress(done=1, total=1)
    for n in range(3):
        attempt.log(f"line {n}")
    return dict(attempt.arguments)


def at_work(jobs: Jobs, *handlers: Handler) -> None:
    """Starts everything."""
    jobs.handle(*handlers)
    jobs.app.handlers |= jobs.handlers
    jobs.dispatch()
    jobs.work()


async def test_a_job_is_told_in_the_words_of_the_document(jobs: Jobs, rollbook: Running) -> None:
    at_work(jobs, Handler("ECHO", "echoing", "echo", echo))
    job = await jobs.ask(arguments={"package_id": "1"})
    await jobs.until(job, "completed")
    told = (await rollbook.client.get(f"/api/jobs/echo-{job}", headers=ACME)).json()
    assert told["job_id"] == f"echo-{job}"
    assert (told["job_type"], told["status"], told["retry_count"]) == ("echoing", "completed", 0)
    assert told["job_data"] == {"package_id": "pkg-1", "user": "rollbook"}
    assert told["progress"]["done"] == 1
    assert told["progress"]["heard_at"].endswith("Z")
    log = await rollbook.client.get(f"/api/jobs/echo-{job}/logs", headers=ACME)
    assert [line.split("] ")[1] for line in log.text.splitlines()] == ["line 0", "line 1", "line 2"]


async def test_a_job_that_nobody_knows_is_a_404_in_the_documents_shape(rollbook: Running) -> None:
    for name in ("echo-1", "echo-0b43851b-b109-4028-ba79-2e49c6138dbc", "0b43851b-b109-4028-ba79-2e49c6138dbc"):
        answered = await rollbook.client.get(f"/api/jobs/{name}", headers=ACME)
        assert (answered.status_code, answered.json()) == (404, {"error": "Job not found"})


async def test_a_bad_value_is_a_400_in_the_documents_shape(rollbook: Running) -> None:
    answered = await rollbook.client.get("/api/jobs?limit=abc", headers=ACME)
    assert answered.status_code == 400
    assert answered.json()["error"].startswith("limit: ")


async def test_jobs_are_listed_by_status_and_cancelled_and_retried(jobs: Jobs, rollbook: Running) -> None:
    began = asyncio.Event()

    async def patient(attempt: Attempt) -> dict[str, Any]:
        began.set()
        await asyncio.sleep(30 if attempt.fence == 1 else 0)
        return {}

    at_work(jobs, Handler("PATIENT", "patient", "patient", patient))
    job = await jobs.ask("PATIENT")
    await asyncio.wait_for(began.wait(), 20)
    listed = (await rollbook.client.get("/api/jobs?status=processing", headers=ACME)).json()
    assert [one["job_id"] for one in listed["jobs"]] == [f"patient-{job}"]
    await rollbook.client.post(f"/api/jobs/patient-{job}/cancel", headers=ACME, json={})
    await jobs.until(job, "cancelled")
    again = await rollbook.client.post(f"/api/jobs/patient-{job}/retry", headers=ACME)
    assert (again.status_code, again.json()["retry_count"]) == (200, 0)
    await jobs.until(job, "completed")
    late = await rollbook.client.post(f"/api/jobs/patient-{job}/cancel", headers=ACME, json={})
    assert late.status_code == 409


async def test_a_log_is_followed_until_the_job_ends(jobs: Jobs, rollbook: Running) -> None:
    go_on = asyncio.Event()

    async def talking(attempt: Attempt) -> dict[str, Any]:
        attempt.log("first")
        await go_on.wait()
        attempt.log("last")
        return {}

    at_work(jobs, Handler("TALKING", "talking", "talking", talking))
    job = await jobs.ask("TALKING")
    await jobs.until(job, "processing")
    heard: list[str] = []
    async with rollbook.client.stream("GET", f"/api/jobs/talking-{job}/logs?follow=true", headers=ACME) as answered:
        async for line in answered.aiter_lines():
            heard.append(line.split("] ")[1])
            go_on.set()
    assert heard == ["first", "last"]


async def test_a_job_whose_time_has_not_come_is_pending(jobs: Jobs, rollbook: Running) -> None:
    at_work(jobs, Handler("ECHO", "echoing", "echo", echo))
    later = await jobs.ask(due_at=datetime.now(UTC) + timedelta(hours=1))
    soon = await jobs.ask(due_at=datetime.now(UTC) + timedelta(seconds=1))
    pending = (await rollbook.client.get("/api/jobs?status=pending", headers=ACME)).json()["jobs"]
    assert {one["job_id"] for one in pending} >= {f"echo-{later}"}
    await jobs.until(soon, "completed")
    assert (await rollbook.client.get("/api/jobs?status=queued", headers=ACME)).json()["count"] == 0


async def test_jobs_are_told_as_they_were(jobs: Jobs, rollbook: Running) -> None:
    at_work(jobs, Handler("ECHO", "echoing", "echo", echo))
    later = datetime.now(UTC) + timedelta(seconds=2)
    job = await jobs.ask(due_at=later)
    before = (await jobs.row(job))["position"]
    await jobs.until(job, "completed")
    for as_of in (str(before), (later - timedelta(milliseconds=500)).isoformat().replace("+00:00", "Z")):
        told = (await rollbook.client.get(f"/api/jobs/echo-{job}", headers=ACME, params={"as_of": as_of})).json()
        assert (told["status"], told["started_at"], told["progress"]) == ("pending", None, None), as_of
        for status, found in (("pending", [f"echo-{job}"]), ("queued", []), ("completed", [])):
            query = {"as_of": as_of, "status": status}
            listed = (await rollbook.client.get("/api/jobs", headers=ACME, params=query)).json()
            assert [one["job_id"] for one in listed["jobs"]] == found, (as_of, status)
    early = await rollbook.client.get(f"/api/jobs/echo-{job}", headers=ACME, params={"as_of": "0"})
    assert early.status_code == 404
    future = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await rollbook.client.get("/api/jobs", headers=ACME, params={"as_of": future})).status_code == 400


async def test_jobs_are_filtered_by_handler_and_paged(jobs: Jobs, rollbook: Running) -> None:
    asked = [await jobs.ask(handler) for handler in ("ONE", "TWO", "ONE", "ONE")]
    names = [f"one-{job}" for job in asked if asked.index(job) != 1]
    query = {"handler": "ONE", "limit": "2"}
    for offset, found in ((0, names[:0:-1]), (2, names[:1])):
        told = await rollbook.client.get("/api/jobs", headers=ACME, params={**query, "offset": str(offset)})
        assert [one["job_id"] for one in told.json()["jobs"]] == found
        assert told.json()["count"] == len(found)


async def test_a_job_of_another_organisation_is_not_there(jobs: Jobs, rollbook: Running) -> None:
    job = await jobs.ask()
    other = {"X-Organisation": "globex"}
    for method, tail in (("GET", ""), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/retry")):
        answered = await rollbook.client.request(method, f"/api/jobs/echo-{job}{tail}", headers=other, json={})
        assert answered.status_code == 404, (method, tail)
    assert (await jobs.row(job))["status"] == "queued"


@pytest.mark.parametrize("past", [False, True])
@pytest.mark.parametrize(
    "wanted",
    [
        [],
        [equals("status", "cancelled")],
        [one_of("status", ["cancelled", "queued"])],
        [one_of("status", ["cancelled", "completed"])],
    ],
)
async def test_the_pages_of_a_list_hold_it_all_and_each_row_once(
    jobs: Jobs, rollbook: Running, past: bool, wanted: list[Condition]
) -> None:
    asked = [await jobs.ask(arguments={"n": n}) for n in range(7)]
    for one in asked[::2]:
        await jobs.run(cancel_job, CancelJob(one))
    at = (await jobs.row(asked[-1]))["position"] if past else None
    rows = (await rollbook.app.views.select("acme", JOBS, wanted, limit=7, as_of=at)).rows
    pages = [
        (await rollbook.app.views.select("acme", JOBS, wanted, limit=n + 3, as_of=at, passed_over=n)).rows
        for n in (0, 3, 6, 9)
    ]
    assert rows
    assert [row["id"] for page in pages for row in page] == [row["id"] for row in rows]


async def test_how_many_there_are_is_told_to_who_asks(jobs: Jobs, rollbook: Running) -> None:
    asked = [await jobs.ask() for _ in range(3)]
    ask = rollbook.client.get
    listed = await ask("/api/jobs?limit=1&offset=1", headers={**ACME, "Prefer": "count=exact"})
    assert listed.headers["x-total-count"] == "3"
    assert [one["job_id"] for one in listed.json()["jobs"]] == [f"echo-{asked[1]}"]
    assert {name: listed.json()[name] for name in ("count", "limit", "offset")} == {"count": 1, "limit": 1, "offset": 1}
    assert "x-total-count" not in (await ask("/api/jobs", headers=ACME)).headers


async def test_why_a_job_was_cancelled_is_told(jobs: Jobs, rollbook: Running) -> None:
    for reason, told in (("no need", "no need"), (None, "It was cancelled")):
        path = f"/api/jobs/echo-{await jobs.ask()}"
        assert (await rollbook.client.post(f"{path}/cancel", json={"reason": reason}, headers=ACME)).status_code == 200
        assert (await rollbook.client.get(path, headers=ACME)).json()["last_error"] == told
