"""Folds events into the rows of one read model, in memory, and writes what changed."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from psycopg import AsyncConnection

from adapters.postgres import codec, tables
from adapters.postgres.tables import RowVersion
from domain.recorded import RecordedEvent
from projections.read_model import STILL, ReadModel, Row

log = structlog.get_logger()
REMEMBERED_ROWS = 20_000


@dataclass(slots=True)
class Folding:
    """One read model on its way through the log; remembers the open rows that it met last."""

    model: ReadModel
    name: str
    position: int = 0
    open: OrderedDict[str, tuple[int, Row]] = field(default_factory=OrderedDict)
    parked: set[str] = field(default_factory=set)

    async def write(self, connection: AsyncConnection[Any], events: Sequence[RecordedEvent], few: bool = False) -> None:
        """Folds a batch and writes what changed; of a `few` events nothing is waited for, so pipelines may hold it."""
        keyed = [(key, e) for e in events if (key := self.key_of(e)) is not None]
        if not keyed:
            return
        # A row is made of one stream: before the first event of a stream there is none to read.
        new = {key for key, e in keyed if e.version == 1}
        await self.fetch_open(connection, {key for key, _ in keyed if key not in self.open} - new)
        ended: list[tuple[str, int, int]] = []
        made: dict[tuple[str, int], RowVersion] = {}
        troubles = [t for key, e in keyed if (t := self.fold(key, e, ended, made))]
        if ended:
            await tables.close_rows(connection, self.name, ended)
        if made:
            add = tables.add_few_versions if few else tables.add_versions
            await add(connection, self.model, self.name, made.values())
        for event, problem in troubles:
            await park(connection, self.name, event, problem)
        while len(self.open) > REMEMBERED_ROWS:
            self.open.popitem(last=False)

    def key_of(self, event: RecordedEvent) -> str | None:
        """The row that an event concerns, unless its stream is parked."""
        return None if event.stream_id in self.parked else self.model.key(event)

    async def fetch_open(self, connection: AsyncConnection[Any], missing: set[str]) -> None:
        """Reads the open rows that are not remembered."""
        if missing:
            self.open |= await tables.open_rows(connection, self.name, list(missing))

    def fold(
        self,
        key: str,
        event: RecordedEvent,
        ended: list[tuple[str, int, int]],
        made: dict[tuple[str, int], RowVersion],
    ) -> tuple[RecordedEvent, str] | None:
        """One event; a fault of ours parks its stream, marks its row as stale and lets the rest go on."""
        if event.stream_id in self.parked:
            return None
        since, row = self.open.get(key, (0, None))
        trouble = None
        try:
            _, data = codec.upcast(event.topic, event.schema_version, event.data)
            changed = self.model.fold(row, event, data)
        except codec.UnknownEvent:
            raise
        except Exception as problem:
            self.parked.add(event.stream_id)
            trouble = event, f"{type(problem).__name__}: {problem}"
            changed = row and {"stale_since": event.commit_position, **row}
        if changed is not None and changed is not row:
            self.replace(key, event, since, changed, ended, made)
        return trouble

    def replace(
        self,
        key: str,
        event: RecordedEvent,
        since: int,
        changed: Row,
        ended: list[tuple[str, int, int]],
        made: dict[tuple[str, int], RowVersion],
    ) -> None:
        """A new version from the end of this commit on; the one before, if there is any, ends there."""
        start = event.commit_position
        if since and since != start:
            if before := made.get((key, since)):
                made[key, since] = RowVersion(key, before.organisation, since, start, before.row)
            else:
                ended.append((key, since, start))
        made[key, start] = RowVersion(key, event.organisation, start, STILL, changed)
        self.open[key] = (start, changed)
        self.open.move_to_end(key)


async def park(connection: AsyncConnection[Any], name: str, event: RecordedEvent, problem: str) -> None:
    """Notes that the rows of a stream are stale from here on, and raises the alarm."""
    log.error("projector.parked", read_model=name, stream_id=event.stream_id, position=event.position, problem=problem)
    await connection.execute(
        "insert into parked_streams values (%s, %s, %s, %s, %s) on conflict do nothing",
        [name, event.stream_id, event.organisation, event.position, problem[:500]],
    )
