"""Jobs on the command line: what is asked for, what is printed, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stand_in import START, StandIn

ID = "deploy-0b1c5b52-8f0b-4c8e-8d5e-1f3d6f1f1c02"
PATH = f"/api/jobs/{ID}"
JOB: dict[str, Any] = {
    "job_id": ID,
    "job_type": "package_deployment",
    "status": "processing",
    "scheduled_at": "2026-11-21T04:07:15.123456+00:00",
    "started_at": None,
    "completed_at": None,
    "job_data": {"user": "ann"},
    "handler": "PACKAGE_DEPLOYMENT",
    "priority": 5,
    "retry_count": 1,
    "max_retries": 3,
    "timeout_seconds": 3600,
    "last_error": None,
    "result": None,
    "progress": {"done": 1200, "total": 5000, "rate": 310.4, "seconds_left": 12.2, "table": "customers"},
    "cancelling": False,
    "worker": "host-1",
    "created_at": "2026-11-21T04:07:15.123456+00:00",
}
DONE = {**JOB, "status": "completed", "progress": {"done": 5000, "total": 5000}}


def test_jobs_are_listed_with_their_filters(server: StandIn, run: Run) -> None:
    server.says(200, {"jobs": [JOB], "count": 1})
    ended = run("job", "list", "--status", "failed", "--status", "timeout", "--handler", "X", "--as-of", "7")
    assert ended.code == 0
    assert f"{ID}" in ended.out
    assert "1/3" in ended.out
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("GET", "/api/jobs")
    assert {("handler", "X"), ("as_of", "7")} <= set(asked.query)
    assert {value for name, value in asked.query if name == "status"} == {"failed", "timeout"}


def test_a_watched_job_tells_rows_rate_and_the_time_that_is_left(server: StandIn, run: Run) -> None:
    server.says(200, JOB)
    server.says(200, DONE)
    ended = run("job", "watch", ID, "--interval", "0.2")
    assert (ended.code, ended.out.splitlines()) == (
        0,
        ["processing  customers  1,200 of 5,000 rows  310 rows/s  12 s left", "completed  5,000 of 5,000 rows"],
    )


@pytest.mark.parametrize("status", ["failed", "cancelled", "timeout"])
def test_a_watched_job_that_does_not_complete_is_exit_code_one(server: StandIn, run: Run, status: str) -> None:
    server.says(200, {**JOB, "status": status, "last_error": "The target is away"})
    ended = run("job", "watch", ID)
    assert ended.code == 1
    assert f"The job is {status}: The target is away" in ended.err


def test_a_watched_job_is_an_object_a_line_where_json_is_wanted(server: StandIn, run: Run) -> None:
    server.says(200, JOB)
    server.says(200, DONE)
    ended = run("job", "watch", ID, "--interval", "0.2", "--json")
    assert [json.loads(line)["status"] for line in ended.out.splitlines()] == ["processing", "completed"]


def test_a_log_is_printed(server: StandIn, run: Run) -> None:
    server.says(200, "first\nsecond\n")
    assert run("job", "logs", ID).out == "first\nsecond\n"
    assert [one.path for one in server.asked] == [f"{PATH}/logs"]


def test_a_followed_log_goes_on_where_it_was_cut_off_until_the_job_has_ended(server: StandIn, run: Run) -> None:
    for said in ("first\n", JOB, "zwölf\n", DONE, "last\n"):
        server.says(200, said)
    assert run("job", "logs", ID, "--follow").out == "first\nzwölf\nlast\n"
    offsets = [dict(one.query).get("offset") for one in server.asked if one.path.endswith("/logs")]
    assert offsets == [None, "6", "13"]


def test_a_job_is_cancelled_with_a_reason(server: StandIn, run: Run) -> None:
    server.says(200, {**JOB, "cancelling": True})
    ended = run("job", "cancel", ID, "--reason", "too early")
    assert (ended.code, server.asked[0].path, server.asked[0].body) == (0, f"{PATH}/cancel", {"reason": "too early"})
    assert "asked to stop" in ended.err
    assert "idempotency-key" in server.asked[0].headers


def test_a_job_is_tried_again(server: StandIn, run: Run) -> None:
    server.says(200, {**JOB, "status": "queued"})
    ended = run("job", "retry", ID)
    assert (ended.code, server.asked[0].method, server.asked[0].path) == (0, "POST", f"{PATH}/retry")


def test_a_job_that_has_ended_is_not_cancelled(server: StandIn, run: Run) -> None:
    server.says(409, {"error": "The job has ended: it is completed"}, x_error_code="CLASH")
    ended = run("job", "cancel", ID)
    assert ended.code == 1
    assert "The job has ended" in ended.err


def test_a_shown_job_leaves_the_keys_of_rows_to_programs(server: StandIn, run: Run) -> None:
    done = {**DONE, "result": {"deployed": {"tables": {"customers": {"new": 2}}, "keys": {"customers": {"1": "1001"}}}}}
    for words, are_told in ((("job", "show", ID), False), (("job", "show", ID, "--json"), True)):
        server.says(200, done)
        ended = run(*words)
        assert ended.code == 0
        assert ("customers" in ended.out, "1001" in ended.out) == (True, are_told)


def test_a_job_that_ended_without_a_word_is_told_so(server: StandIn, run: Run) -> None:
    server.says(200, {**JOB, "status": "cancelled"})
    assert "error: The job is cancelled (JOB_NOT_COMPLETED)" in run("job", "watch", ID).err


def test_a_watched_job_outlives_a_short_outage_and_one_that_was_never_seen_does_not(server: StandIn, run: Run) -> None:
    for status, body in ((200, JOB), (503, {"error": "Starting"}), (200, DONE)):
        server.says(status, body)
    assert run("job", "watch", ID, "--interval", "0.2", "--retries", "0").code == 0
    server.says(503, {"error": "Starting"})
    assert run("job", "watch", ID, "--retries", "0").code == 5


def test_who_stops_waiting_for_a_deployment_is_told_that_it_goes_on(server: StandIn) -> None:
    server.says(202, {"message": "Deployment job created", "job_id": ID, "status": "scheduled"})
    for _ in range(200):
        server.says(200, JOB)
    words = ("package", "deploy", "pkg-1", "--environment", "staging")
    command = [sys.executable, "-c", START, *words]
    with subprocess.Popen(command, env={**os.environ, "API_URL": server.url}, stderr=subprocess.PIPE) as one:
        while len(server.asked) < 2:
            assert one.poll() is None
            time.sleep(0.01)
        one.send_signal(signal.SIGINT)
        _, said = one.communicate(timeout=20)
    assert one.returncode == 130
    assert f"rollbook job cancel {ID}" in said.decode()
