"""What goes into a bundle, line by line, as its organisation may read it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from psycopg import AsyncConnection, sql

from adapters.postgres.pools import Pools
from adapters.postgres.tables import named
from domain.freezes import Freezes
from domain.rules import Rules
from domain.teams import Teams
from projections.read_model import ReadModel, table
from projections.registry import DEPLOYMENTS, LIVE, READ_MODELS

# Nobody asks an incident who may call; the events still tell what was recorded of it.
LEFT_OUT = frozenset(("tokens", "webhooks"))
OF_ALL_LANES = frozenset(("freezes", "teams", "incidents", "incident_links"))
TOUCHED = """select distinct stream_id from rollbook.events
              where organisation = %s and position > %s and position <= %s"""
# What was live or waited when the span began, in lanes that it touches; and what came about together with these, or
# with the holds that were left behind there.
STANDING = sql.SQL(
    """select 'deployment-' || (document::json #>> '{{live,deployment_id}}') from {live}
        where organisation = %(organisation)s and lane_id = any(%(lanes)s::uuid[]) and changed
          and from_position <= %(first)s and to_position > %(first)s
          and document::json #>> '{{live,deployment_id}}' is not null
       union
       select 'deployment-' || key from {deployments}
        where organisation = %(organisation)s and lane_id = any(%(lanes)s::uuid[])
          and status in ('scheduled', 'in_progress') and from_position <= %(first)s and to_position > %(first)s"""
).format(live=named(table(LIVE)), deployments=named(table(DEPLOYMENTS)))
BESIDE = sql.SQL(
    """with ended (at) as (
           select e.commit_position from rollbook.events e
            where e.stream_id = any(%(streams)s) and e.position <= %(first)s and starts_with(e.stream_id, 'deployment-')
           union
           select max(e.commit_position) from rollbook.events e
            where e.stream_id = any(%(holding)s) and e.topic = 'lane.held' and e.position <= %(first)s
            group by e.stream_id)
       select distinct b.stream_id from ended cross join lateral (
              select stream_id from rollbook.events
               where position > rollbook.commit_before(ended.at - 1) and position <= ended.at
              offset 0) b"""
)
# So that the end of what the organisation recorded is known; of some lanes it is the end of theirs.
LAST = """select stream_id from rollbook.events where organisation = %s and position <= %s
           order by sequence desc limit 1"""
EVENTS = sql.SQL(
    """select json_build_object(
              'position', position, 'commit_position', commit_position, 'event_id', event_id, 'stream_id', stream_id,
              'version', version, 'topic', topic, 'schema_version', schema_version, 'organisation', organisation,
              'sequence', sequence, 'recorded_at', recorded_at, 'envelope', convert_from(envelope, 'UTF8'),
              'payload', convert_from(payload, 'UTF8'), 'previous_hash', encode(previous_hash, 'hex'),
              'hash', encode(hash, 'hex'))::text
         from rollbook.events where organisation = %s and stream_id = any(%s) and position <= %s order by position"""
)
ROWS = sql.SQL(
    """select row_to_json(r)::text from {table} r
        where organisation = %s and to_position > %s and from_position <= %s and {of_lanes}
        order by key, from_position"""
)
TIMELINE = sql.SQL(
    """select json_build_object('position', position, 'recorded_at', recorded_at)::text from rollbook.events
        where position >= %s and position <= %s and position = commit_position order by position"""
)
HEADS = sql.SQL(
    """select row_to_json(h)::text from rollbook.checkpoint_heads h join rollbook.sealed_checkpoints c using (number)
        where h.organisation = %s and c.position <= %s order by number, place"""
)
CHECKPOINTS = sql.SQL(
    "select row_to_json(c)::text from rollbook.sealed_checkpoints c where c.position <= %s order by number"
)


@dataclass(frozen=True, slots=True)
class Extent:
    """Which part of the record: of one organisation, behind one position up to another; of some lanes, or of all."""

    organisation: str
    first: int
    last: int
    lanes: Sequence[str] = ()


def models(extent: Extent) -> list[ReadModel]:
    """The read models whose rows go along."""
    found = [model for model in READ_MODELS if model.name not in LEFT_OUT]
    return [one for one in found if not extent.lanes or one.name in OF_ALL_LANES or lane_column(one)]


def lane_column(model: ReadModel) -> str | None:
    """The column that says of which lane a row is."""
    return "key" if model.name in ("lanes", "fleet_lanes") else "lane_id" if "lane_id" in model.columns else None


class Contents:
    """Reads the parts; nothing is held in memory but the names of streams."""

    def __init__(self, pools: Pools, extent: Extent) -> None:
        self.pools = pools
        self.extent = extent

    async def streams(self) -> list[str]:
        """The streams that the span touches, those that tell why they are so, and those that rule all of them."""
        organisation, first, last = self.extent.organisation, self.extent.first, self.extent.last
        found = await self.column(sql.SQL(TOUCHED), [organisation, first, last])
        found |= await self.why(found)
        if self.extent.lanes:
            found &= await self.of_lanes()
        else:
            found |= await self.column(sql.SQL(LAST), [organisation, last])
        ruling = (f"{kind.TOPIC}-{kind.id_of(organisation)}" for kind in (Freezes, Rules, Teams))
        return sorted({*found, *ruling})

    async def why(self, touched: set[str]) -> set[str]:
        """The streams by which it is told why something is live in these, or waits there, wherever the span begins."""
        lanes = list(self.extent.lanes) or [one[5:] for one in touched if one.startswith("lane-")]
        where: dict[str, Any] = {"organisation": self.extent.organisation, "first": self.extent.first, "lanes": lanes}
        standing = await self.column(STANDING, where)
        holding = [f"lane-{one}" for one in lanes]
        return await self.column(BESIDE, {**where, "streams": [*standing, *touched], "holding": holding})

    async def of_lanes(self) -> set[str]:
        """The streams of the lanes and of their deployments."""
        query = sql.SQL("select distinct key from {} where organisation = %s and lane_id = any(%s::uuid[])")
        keys = await self.column(
            query.format(named(table(DEPLOYMENTS))), [self.extent.organisation, list(self.extent.lanes)]
        )
        return {f"lane-{one}" for one in self.extent.lanes} | {f"deployment-{key}" for key in keys}

    async def column(self, query: sql.SQL | sql.Composed, values: Any) -> set[str]:
        """The texts that a query of ours finds."""
        async with self.pools.reading(self.extent.organisation) as connection:
            return {one for (one,) in await (await connection.execute(query, values)).fetchall()}

    async def events(self) -> AsyncIterator[str]:
        """The whole streams up to the end of the span, exact to the byte."""
        values = [self.extent.organisation, await self.streams(), self.extent.last]
        async for line in self.lines(EVENTS, values):
            yield line

    def rows(self, model: ReadModel) -> AsyncIterator[str]:
        """The versions of rows that were valid somewhere in the span."""
        values: list[Any] = [self.extent.organisation, self.extent.first, self.extent.last]
        of_lanes: sql.Composable = sql.SQL("true")
        if self.extent.lanes and (column := lane_column(model)):
            of_lanes = sql.SQL("{}::text = any(%s)").format(sql.Identifier(column))
            values.append(list(self.extent.lanes))
        return self.lines(ROWS.format(table=named(table(model)), of_lanes=of_lanes), values)

    def checkpoints(self) -> AsyncIterator[str]:
        """What was sealed up to the end of the span."""
        return self.lines(CHECKPOINTS, [self.extent.last])

    def heads(self) -> AsyncIterator[str]:
        """The organisation's own leaves of these."""
        return self.lines(HEADS, [self.extent.organisation, self.extent.last])

    async def timeline(self) -> AsyncIterator[str]:
        """Where commits end, whoever's, and when: by that moments become positions."""
        async with self.pools.projector.connection() as connection:
            async for line in told(connection, TIMELINE, [self.extent.first, self.extent.last]):
                yield line

    async def lines(self, query: sql.SQL | sql.Composed, values: list[Any]) -> AsyncIterator[str]:
        """What a query of ours finds, a little at a time."""
        async with self.pools.reading(self.extent.organisation) as connection:
            async for line in told(connection, query, values):
                yield line


async def told(
    connection: AsyncConnection[Any], query: sql.SQL | sql.Composed, values: list[Any]
) -> AsyncIterator[str]:
    """The lines that a query answers, from a cursor of the server."""
    async with connection.transaction(), connection.cursor(name=f"bundle_{uuid4().hex}") as cursor:
        await cursor.execute(query, values)
        async for (line,) in cursor:
            yield line
