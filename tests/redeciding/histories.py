"""Recorded histories for deciding again: lived through on a real store, then exported as a user exports them."""

import json
from collections.abc import Iterator
from typing import Any

from adapters.exported_events import told
from adapters.postgres.log import COLUMNS
from application.redeciding import redecide
from application.redecisions import Difference
from application.rule_changes import RuleChanges
from domain.recorded import RecordedEvent
from domain.reference import LAST_POSITION
from tests.kernel.conftest import Kernel


async def recorded(kernel: Kernel, organisation: str = "acme") -> list[RecordedEvent]:
    """Everything that an organisation has recorded."""
    query = f"select {COLUMNS} from rollbook.events where organisation = %s order by position"
    async with kernel.pools.reading(organisation) as connection:
        rows = await (await connection.execute(query.encode(), [organisation], binary=True)).fetchall()
    return [RecordedEvent(*row) for row in rows]


def exported(events: list[RecordedEvent]) -> list[str]:
    """The lines of an export."""
    return [*(json.dumps(line_of(event)) for event in events), json.dumps({"events": len(events)})]


def line_of(event: RecordedEvent) -> dict[str, Any]:
    """One event as a line."""
    hashes = {"previous_hash": event.previous_hash.hex(), "hash": event.hash.hex()}
    texts = {"envelope": event.envelope_bytes.decode(), "payload": event.payload.decode()}
    return {"position": event.position, "topic": event.topic, "stream_id": event.stream_id, **texts, **hashes}


def differences(lines: list[str], changes: RuleChanges, first: int = 1, last: int = LAST_POSITION) -> list[Difference]:
    """What would have been otherwise."""
    return list(each(lines, changes, first, last))


def each(lines: list[str], changes: RuleChanges, first: int, last: int) -> Iterator[Difference]:
    """One after the other."""
    return redecide(changes, told(lines), first, last)
