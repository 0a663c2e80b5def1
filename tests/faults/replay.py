"""What read models must hold: the plain fold of the log, one event after the other, every version of every row."""

import json
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from adapters.postgres import codec
from adapters.postgres.log import COLUMNS
from domain.recorded import RecordedEvent
from projections.read_model import STILL, ReadModel, table
from projections.registry import READ_MODELS

Versions = dict[tuple[str, int], tuple[int, Any]]


async def whole_log(admin: psycopg.AsyncConnection[Any]) -> list[RecordedEvent]:
    """Every event."""
    query = f"select {COLUMNS} from rollbook.events order by position"
    return [RecordedEvent(*row) for row in await (await admin.execute(query.encode(), binary=True)).fetchall()]


async def read_models_equal_replay(admin: psycopg.AsyncConnection[Any], events: Sequence[RecordedEvent]) -> None:
    """Row by row, from the first version to the present one."""
    for model in READ_MODELS:
        kept, replayed = await kept_versions(admin, model), replayed_versions(model, events)
        assert kept.keys() == replayed.keys(), table(model)
        for row, expected in replayed.items():
            assert kept[row] == expected, (table(model), row)
    assert not await (await admin.execute("select from rollbook_views.parked_streams")).fetchall()


async def kept_versions(admin: psycopg.AsyncConnection[Any], model: ReadModel) -> Versions:
    """What stands in the table: by key and start, the end and the document."""
    query = sql.SQL("select key, from_position, to_position, document from {}")
    cursor = await admin.execute(query.format(sql.Identifier("rollbook_views", table(model))))
    return {(key, since): (until, json.loads(document)) for key, since, until, document in await cursor.fetchall()}


def replayed_versions(model: ReadModel, events: Sequence[RecordedEvent]) -> Versions:
    """What should stand there."""
    present: dict[str, tuple[int, Any]] = {}
    versions: Versions = {}
    for event in events:
        if (key := model.key(event)) is None:
            continue
        _, data = codec.upcast(event.topic, event.schema_version, event.data)
        since, row = present.get(key, (0, None))
        changed = model.fold(row, event, data)
        if changed is None or changed is row:
            continue
        if since and since != event.commit_position:
            versions[key, since] = (event.commit_position, row)
        present[key] = (event.commit_position, changed)
        versions[key, event.commit_position] = (STILL, changed)
    return {row: (until, json.loads(json.dumps(document))) for row, (until, document) in versions.items()}
