"""The append function trusts none of its callers, also those who write their SQL by hand."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import Database
from tests.kernel.chain import check_order, stored
from tests.kernel.client import STATEMENT, Attempt, append, everything, outcomes, parameters

A, B, C = "lane-a", "lane-b", "lane-c"


@pytest.fixture
def client(database: Database) -> Iterator[psycopg.Connection]:
    """A writer by hand."""
    with psycopg.connect(database.app_url, autocommit=True) as connection:
        connection.execute("set role rollbook_writer")
        yield connection


@pytest.mark.parametrize(
    "events",
    [
        [(A, 1)],
        [(A, 2)],
        [(A, 4)],
        [(A, 3), (A, 5)],
        [(A, 3), (A, 3)],
        [(A, 3), (A, 3), (A, 6), (A, 6)],
        [(B, 1), (A, 2)],
        [(A, 3), (B, 2)],
    ],
)
def test_a_stream_goes_on_from_its_last_version_without_a_gap(
    client: psycopg.Connection, database: Database, events: list[tuple[str, int]]
) -> None:
    assert outcomes(client, Attempt([(A, 1), (A, 2)])) == ["appended"]
    before = everything(database.admin_url)
    assert outcomes(client, Attempt(events)) == ["conflict"]
    assert everything(database.admin_url) == before


def test_several_streams_are_appended_at_once_or_not_at_all(client: psycopg.Connection, database: Database) -> None:
    assert outcomes(client, Attempt([(A, 1), (B, 1), (A, 2)])) == ["appended"]
    assert [(e["stream_id"], e["version"]) for e in stored(database.admin_url)] == [(A, 1), (B, 1), (A, 2)]
    assert {e["commit_position"] for e in stored(database.admin_url)} == {3}


def test_one_commit_of_a_group_fails_alone(client: psycopg.Connection, database: Database) -> None:
    group = [Attempt([(A, 1)]), Attempt([(A, 1)]), Attempt([(B, 1), (A, 2)]), Attempt([(A, 2)])]
    assert outcomes(client, *group) == ["appended", "conflict", "appended", "conflict"]
    rows = stored(database.admin_url)
    check_order(rows)
    assert [(r["stream_id"], r["version"], r["commit_position"]) for r in rows] == [(A, 1, 1), (B, 1, 3), (A, 2, 3)]


@pytest.mark.parametrize(("guard", "outcome"), [({A: 2}, "appended"), ({A: 1}, "conflict"), ({A: 3}, "conflict")])
def test_a_guard_must_be_at_its_version(
    client: psycopg.Connection, database: Database, guard: dict[str, int], outcome: str
) -> None:
    append(client, Attempt([(A, 1), (A, 2)]))
    assert outcomes(client, Attempt([(B, 1)], guards=guard)) == [outcome]
    assert len(stored(database.admin_url)) == (3 if outcome == "appended" else 2)


def test_a_guard_may_be_an_empty_stream(client: psycopg.Connection) -> None:
    assert outcomes(client, Attempt([(A, 1)], guards={C: 0})) == ["appended"]
    assert outcomes(client, Attempt([(B, 1)], guards={C: 1})) == ["conflict"]


def test_a_guard_that_moved_in_the_same_group_is_a_conflict(client: psycopg.Connection) -> None:
    group = [Attempt([(A, 1)]), Attempt([(B, 1)], guards={A: 0}), Attempt([(C, 1)], guards={A: 1})]
    assert outcomes(client, *group) == ["appended", "conflict", "appended"]


def test_a_guard_holds_its_own_commit_only(client: psycopg.Connection) -> None:
    group = [Attempt([(A, 1)], guards={C: 7}), Attempt([(B, 1)])]
    assert outcomes(client, *group) == ["conflict", "appended"]


def test_a_key_is_taken_once_until_it_is_released(client: psycopg.Connection, database: Database) -> None:
    assert outcomes(client, Attempt([(A, 1)], taken={"name": A})) == ["appended"]
    before = everything(database.admin_url)
    assert outcomes(client, Attempt([(B, 1)], taken={"other": B, "name": B})) == ["taken"]
    assert everything(database.admin_url) == before
    assert before["taken_keys"] == [("acme", "name", A)]
    assert outcomes(client, Attempt([(C, 1)], released=("name",)), Attempt([(B, 1)], taken={"name": B})) == [
        "appended",
        "appended",
    ]
    assert everything(database.admin_url)["taken_keys"] == [("acme", "name", B)]


def test_a_key_that_is_taken_in_the_same_group_is_taken(client: psycopg.Connection) -> None:
    group = [Attempt([(A, 1)], taken={"name": A}), Attempt([(B, 1)], taken={"name": B})]
    assert outcomes(client, *group) == ["appended", "taken"]


def test_a_commit_that_fails_neither_takes_nor_releases(client: psycopg.Connection, database: Database) -> None:
    append(client, Attempt([(A, 1)], taken={"name": A}))
    before = everything(database.admin_url)
    assert outcomes(client, Attempt([(A, 1)], taken={"other": A}, released=("name",))) == ["conflict"]
    assert everything(database.admin_url) == before


def test_organisations_have_keys_and_sequences_of_their_own(client: psycopg.Connection, database: Database) -> None:
    group = [Attempt([(A, 1)], taken={"name": A}), Attempt([(B, 1)], "other", taken={"name": B}), Attempt([(C, 1)])]
    assert outcomes(client, *group) == ["appended"] * 3
    rows = stored(database.admin_url)
    assert [(r["organisation"], r["sequence"]) for r in rows] == [("acme", 1), ("other", 1), ("acme", 2)]
    assert [bytes(r["previous_hash"]) for r in rows] == [bytes(32), bytes(32), bytes(rows[0]["hash"])]


def test_a_command_happens_once_and_answers_its_first_outcome(client: psycopg.Connection, database: Database) -> None:
    command = uuid4()
    ((_, position, at, *_),) = append(client, Attempt([(A, 1)], command_id=command))
    before = everything(database.admin_url)
    again = append(client, Attempt([(B, 1)], command_id=command))
    assert again == [("repeated", position, at, 201, "resource 1")]
    assert outcomes(client, Attempt([(B, 1)], command_id=command, digest=b"other")) == ["reused"]
    assert everything(database.admin_url) == before


def test_a_command_that_failed_may_come_again(client: psycopg.Connection) -> None:
    command = uuid4()
    append(client, Attempt([(A, 1)]))
    assert outcomes(client, Attempt([(A, 1)], command_id=command)) == ["conflict"]
    assert outcomes(client, Attempt([(A, 2)], command_id=command)) == ["appended"]


def test_twins_in_one_group_happen_once(client: psycopg.Connection) -> None:
    command = uuid4()
    group = [Attempt([(A, 1)], command_id=command), Attempt([(B, 1)], command_id=command)]
    assert outcomes(client, *group) == ["appended", "repeated"]


def test_the_same_events_again_are_answered_as_done_with_their_place(client: psycopg.Connection) -> None:
    first = Attempt([(A, 1), (B, 1)])
    ((_, position, at, *_),) = append(client, first)
    append(client, Attempt([(A, 2)]))
    assert append(client, first) == [("repeated", position, at, None, None)]
    assert outcomes(client, Attempt([(A, 1), (B, 1)])) == ["conflict"]


def test_nobody_tells_the_log_what_time_or_place_it_is(client: psycopg.Connection, database: Database) -> None:
    lies = b'{"position":99,"sequence":99,"recorded_at":"1999-01-01T00:00:00.000000Z"}'
    append(client, Attempt([(A, 1)], envelope=lies))
    (row,) = stored(database.admin_url)
    assert (row["told"]["position"], row["told"]["sequence"]) == (row["position"], row["sequence"]) == (1, 1)
    assert row["told"]["recorded_at"] == f"{row['recorded_at']:%Y-%m-%dT%H:%M:%S.%fZ}" > "2026"


def test_time_goes_on_even_when_the_clock_stands_still(client: psycopg.Connection, database: Database) -> None:
    append(client, *(Attempt([(f"lane-{n}", 1)]) for n in range(50)))
    check_order(stored(database.admin_url))


def test_time_goes_on_when_the_clock_was_ahead(client: psycopg.Connection, database: Database) -> None:
    append(client, Attempt([(A, 1)]))
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute("update rollbook.events set recorded_at = recorded_at + interval '1 hour'")
    append(client, Attempt([(A, 2)]))
    first, second = stored(database.admin_url)
    assert (second["recorded_at"] - first["recorded_at"]).total_seconds() == 0.000001


def test_a_table_of_ones_own_does_not_stand_in_for_the_log(client: psycopg.Connection, database: Database) -> None:
    client.execute("set role rollbook_reader")
    client.execute("create temp table events (like rollbook.events)")
    client.execute("create temp table taken_keys (organisation text, key text, stream_id text)")
    client.execute("set role rollbook_writer")
    client.execute("set search_path = pg_temp, rollbook")
    assert outcomes(client, Attempt([(A, 1)], taken={"name": A})) == ["appended"]
    found = everything(database.admin_url)
    assert (len(found["events"]), len(found["taken_keys"])) == (1, 1)


def test_an_append_without_an_organisation_is_refused(client: psycopg.Connection, database: Database) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation):
        append(client, Attempt([(A, 1)], None))
    assert stored(database.admin_url) == []


def test_an_append_is_announced_when_it_is_committed(client: psycopg.Connection, database: Database) -> None:
    with psycopg.connect(database.app_url, autocommit=True) as listener:
        listener.execute("listen rollbook_events")
        append(client, Attempt([(A, 1)]), Attempt([(B, 1)]))
        (note,) = listener.notifies(timeout=60, stop_after=1)
    assert note.payload == "2"


LOCKS = "select count(*) from pg_locks where locktype = 'advisory' and objid = 7240563"


def somebody_waits(admin: psycopg.Connection) -> bool:
    """Whether somebody waits for the log's lock."""
    return admin.execute(f"{LOCKS} and not granted".encode()).fetchone() != (0,)


def test_appends_wait_for_each_other_until_they_are_committed(client: psycopg.Connection, database: Database) -> None:
    with psycopg.connect(database.app_url) as another:
        another.execute("set role rollbook_writer")
        append(another, Attempt([(A, 1)]))
        assert another.execute(LOCKS).fetchone() == (1,)
        client.execute("set lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            append(client, Attempt([(B, 1)]))
    assert outcomes(client, Attempt([(B, 1)])) == ["appended"]
    check_order(stored(database.admin_url))


def test_an_append_of_another_epoch_is_refused_also_when_the_epoch_ends_while_it_waits(
    client: psycopg.Connection, database: Database
) -> None:
    in_epoch = STATEMENT.replace("rollbook.append(", "rollbook.append_in_epoch(%s::int4,")
    append(client, Attempt([(A, 1)]))
    late = [1, *parameters([Attempt([(A, 2)]), Attempt([(B, 1)])])]
    with psycopg.connect(database.admin_url, autocommit=True) as admin, ThreadPoolExecutor(1) as thread:
        with psycopg.connect(database.owner_url) as restoring:
            restoring.execute("select pg_advisory_xact_lock(7240563)")
            outcome = thread.submit(lambda: client.execute(in_epoch.encode(), late).fetchall())
            while not somebody_waits(admin):
                assert not outcome.done(), "it did not wait"
            restoring.execute("update rollbook.identity set epoch = 2")
        assert [row[0] for row in outcome.result(60)] == ["restored", "restored"]
    assert len(stored(database.admin_url)) == 1


def test_the_next_partition_is_there_before_the_last_one_is_full(
    client: psycopg.Connection, database: Database
) -> None:
    append(client, Attempt([(A, 1)]))
    with psycopg.connect(database.admin_url) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute("update rollbook.events set position = 9999999, commit_position = 9999999")
    assert outcomes(client, Attempt([(A, 2), (B, 1)])) == ["appended"]
    with psycopg.connect(database.admin_url) as admin:
        found = admin.execute("select tableoid::regclass::text, position from rollbook.events order by 2").fetchall()
        partitions = admin.execute("select count(*) from pg_inherits where inhparent = 'rollbook.events'::regclass")
        assert partitions.fetchone() == (3,)
    first, second = "rollbook.events_000000", "rollbook.events_000001"
    assert found == [(first, 9_999_999), (second, 10_000_000), (second, 10_000_001)]
    assert outcomes(client, Attempt([(A, 2)]), Attempt([(A, 3), (B, 2)])) == ["conflict", "appended"]
