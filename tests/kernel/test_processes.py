"""Writers in several processes at once lose nothing, do nothing twice and leave one unbroken chain."""

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.conftest import Database
from tests.kernel.chain import check_order, stored, verify
from tests.kernel.writers import NAMES, ORGANISATIONS, ROUNDS, write

PROCESSES = 3
Answers = list[list[tuple[str, str, int]]]


@pytest.fixture
def answers(database: Database) -> Answers:
    """What each process was answered."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=fresh) as processes:
        return list(processes.map(write, [database.app_url] * PROCESSES, range(PROCESSES), timeout=60))


def test_processes_that_write_at_once_leave_one_whole_log(answers: Answers, database: Database) -> None:
    log = stored(database.admin_url)
    check_order(log)
    verify(log)
    versions: dict[str, list[int]] = {}
    for event in log:
        versions.setdefault(event["stream_id"], []).append(event["version"])
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert {e["told"]["commit_position"] for e in log} == {e["commit_position"] for e in log}
    check_commands(log, answers)
    check_names(log, database)


def check_commands(log: list[dict[str, Any]], answers: Answers) -> None:
    """Each key was answered the same everywhere and happened once; what had no key happened each time."""
    assert answers[0] == answers[1] == answers[2]
    scheduled = {e["stream_id"]: e["commit_position"] for e in log if e["topic"] == "deployment.scheduled"}
    assert len(answers[0]) == ROUNDS * len(ORGANISATIONS)
    assert len(scheduled) == len(answers[0]) * (1 + PROCESSES)
    for command_id, resource, position in answers[0]:
        assert scheduled[f"deployment-{resource}"] == position
        commits = {e["commit_position"] for e in log if e["told"]["cause"]["command_id"] == command_id}
        assert commits == {position}
    topics = Counter(e["topic"] for e in log if e["topic"] in REPORTED)
    assert sum(topics.values()) == ROUNDS * len(ORGANISATIONS) * PROCESSES


REPORTED = ("deployment.deployed", "deployment.failed", "deployment.started")


def check_names(log: list[dict[str, Any]], database: Database) -> None:
    """Each name has one owner, and whoever did not get it wrote nothing."""
    with psycopg.connect(database.admin_url) as admin:
        owners = admin.execute("select key, stream_id from rollbook.taken_keys").fetchall()
    assert sorted(name for name, _ in owners) == [f"name {n}" for n in range(NAMES)]
    opened = {e["stream_id"] for e in log if b"of process" in e["payload"]}
    assert {stream for _, stream in owners} == opened
