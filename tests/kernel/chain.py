"""A verifier of the log that knows nothing but ADR 0011: rows as they are stored, and plain hashlib."""

import hashlib
import json
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

SEALED = ("stream_id", "version", "topic", "schema_version", "organisation", "position", "commit_position", "sequence")


def stored(url: str) -> list[dict[str, Any]]:
    """Every row of the log with its parsed envelope, in order, as a superuser reads them."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = connection.execute("select * from rollbook.events order by position").fetchall()
    return [{**row, "told": json.loads(row["envelope"])} for row in rows]


def verify(rows: list[dict[str, Any]]) -> None:
    """Fails at the first event that is not what its organisation's chain says."""
    for organisation in {row["organisation"] for row in rows}:
        chain = bytes(32)
        for number, row in enumerate((r for r in rows if r["organisation"] == organisation), 1):
            assert (row["sequence"], row["previous_hash"]) == (number, chain)
            inner = hashlib.sha256(row["envelope"]).digest() + hashlib.sha256(row["payload"]).digest()
            chain = hashlib.sha256(chain + inner).digest()
            assert row["hash"] == chain
            assert {name: row["told"][name] for name in SEALED} == {name: row[name] for name in SEALED}
            assert UUID(row["told"]["event_id"]) == row["event_id"]
            assert row["told"]["recorded_at"] == f"{row['recorded_at']:%Y-%m-%dT%H:%M:%S.%fZ}"


def check_order(rows: list[dict[str, Any]]) -> None:
    """Positions have no gap, a commit stands together, and each was recorded strictly after the one before."""
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    moments: dict[int, set[Any]] = {}
    for row in rows:
        assert row["position"] <= row["commit_position"]
        moments.setdefault(row["commit_position"], set()).add(row["recorded_at"])
    assert all(len(at) == 1 for at in moments.values())
    assert list(moments) == sorted(moments)
    told = [min(at) for at in moments.values()]
    assert told == sorted(set(told))
