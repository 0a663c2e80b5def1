"""Reads the newest events of many lanes between two versions, with what was recorded beside them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from adapters.postgres.conditions import one_of
from adapters.postgres.log import COLUMNS
from adapters.postgres.views import PostgresViews
from domain.recorded import RecordedEvent
from projections.lane_changes import KINDS, change_of, deployment_of
from projections.read_model import Row
from projections.registry import DEPLOYMENTS

SKIPPED_SHOWN = 50
NAMES = sql.SQL(", ").join(sql.SQL("e.") + sql.Identifier(name.strip()) for name in COLUMNS.split(","))
OF_LANES = sql.SQL(
    """select {names} from unnest(%s::text[], %s::int[], %s::int[]) as l (stream_id, beyond, last) cross join lateral
              (select * from rollbook.events e where e.stream_id = l.stream_id and e.version > l.beyond
                  and e.version <= l.last) e order by e.position"""
).format(names=NAMES)
BESIDE = sql.SQL(
    """select {names} from unnest(%s::text[], %s::bigint[]) as d (stream_id, commit_position) cross join lateral
              (select * from rollbook.events e where e.stream_id = d.stream_id
                  and e.commit_position = d.commit_position) e order by e.position"""
).format(names=NAMES)
SKIPPED = sql.SQL(
    """select c.commit_position, substr(e.stream_id, 12)
         from unnest(%s::bigint[]) as c (commit_position) cross join lateral
              (select e.stream_id from rollbook.events e
                where e.position > rollbook.commit_before(c.commit_position - 1) and e.position <= c.commit_position
                  and e.topic = 'deployment.skipped' order by e.position limit {limit}) e"""
).format(limit=sql.Literal(SKIPPED_SHOWN))


@dataclass(frozen=True, slots=True)
class Span:
    """The events of one lane beyond one version of it and up to another."""

    lane_id: str
    beyond: int
    last: int


class LaneHistory:
    """Tells what happened in lanes."""

    def __init__(self, views: PostgresViews) -> None:
        self.views = views

    async def changes(self, organisation: str, spans: Sequence[Span], position: int) -> dict[str, list[Row]]:
        """What happened by lane, newest first; what was skipped is told as it was known at a position."""
        streams = [f"lane-{one.lane_id}" for one in spans]
        values = [streams, [one.beyond for one in spans], [one.last for one in spans]]
        events = await self.events(organisation, OF_LANES, values)
        beside = await self.beside(organisation, events)
        skipped = await self.skipped(organisation, events, position)
        found: dict[str, list[Row]] = defaultdict(list)
        for event in reversed(events):
            companion = beside.get((event.commit_position, deployment_of(event)))
            left = skipped.get(event.commit_position, []) if event.topic == "lane.superseded" else []
            found[event.stream_id[5:]].append(change_of(event, companion, left))
        return found

    async def beside(
        self, organisation: str, events: Sequence[RecordedEvent]
    ) -> Mapping[tuple[int, str | None], RecordedEvent]:
        """The deployments' own events, by their commit."""
        wanted = sorted({(one, e.commit_position) for e in events if (one := deployment_of(e))})
        values = [[f"deployment-{one}" for one, _ in wanted], [commit for _, commit in wanted]]
        found = await self.events(organisation, BESIDE, values)
        return {(e.commit_position, e.stream_id[11:]): e for e in found if e.topic in KINDS}

    async def skipped(
        self, organisation: str, events: Sequence[RecordedEvent], position: int
    ) -> Mapping[int, list[Row]]:
        """What left the queues, by commit."""
        commits = [e.commit_position for e in events if e.topic == "lane.superseded"]
        if not commits:
            return {}
        left = await self.views.fetch(organisation, SKIPPED, [commits])
        page = await self.views.select(organisation, DEPLOYMENTS, [one_of("key", [k for _, k in left])], as_of=position)
        known = {row["id"]: row for row in page.rows}
        found: dict[int, list[Row]] = defaultdict(list)
        for commit, one in left:
            if row := known.get(one):
                facts = {name: row[name] for name in ("version", "environment")}
                found[commit].append({"deployment_id": one, **facts})
        return found

    async def events(self, organisation: str, query: sql.Composed, values: list[Any]) -> list[RecordedEvent]:
        """Events that a query of ours finds."""
        return [RecordedEvent(*row) for row in await self.views.fetch(organisation, query, values)]
