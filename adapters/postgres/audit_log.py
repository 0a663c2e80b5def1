"""Searches an organisation's own part of the log: by index where there is one, else a stretch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, LiteralString

import orjson
from psycopg import sql

from adapters.postgres.conditions import Condition, all_of
from adapters.postgres.pools import Pools, again_when_cut_off
from projections.read_model import STILL, ReadModel, table

STRETCH = 5000
SEARCH_SECONDS = 1.0
COLUMNS = """position, commit_position, event_id::text, stream_id, version, topic, schema_version, organisation,
             sequence, to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
             convert_from(envelope, 'UTF8'), convert_from(payload, 'UTF8'),
             encode(previous_hash, 'hex'), encode(hash, 'hex')"""
NAMES = (
    *("position", "commit_position", "event_id", "stream_id", "version", "topic", "schema_version", "organisation"),
    *("sequence", "recorded_at", "envelope", "payload", "previous_hash", "hash"),
)
INDEXED = frozenset(("topic", "stream_id"))
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an organisation's events by their sequences, both of which belong to it."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, and how much of the span is still to be searched; None when nothing is."""

    lines: list[Line]
    rest: Span | None


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Every query names its organisation, and row security holds it to that."""

    pools: Pools

    async def span(self, organisation: str, after: int, to: int) -> Span:
        """The organisation's events behind one position up to another."""
        query = sql.SQL("select rollbook.sequence_at(%s, %s) + 1, rollbook.sequence_at(%s, %s)")
        bounds = [organisation, min(after, STILL), organisation, min(to, STILL)]
        return Span(*(await self.rows(organisation, query, bounds))[0])

    async def find(
        self, organisation: str, span: Span, wanted: Sequence[Condition], limit: int, newest: bool = False
    ) -> Found:
        """Up to `limit` events, in order; a search that takes long stops and says where."""
        found: list[Line] = []
        until = monotonic() + SEARCH_SECONDS
        rest: Span | None = span if span.first <= span.last else None
        while rest and len(found) < limit:
            part = rest if all(one.column in INDEXED for one in wanted) else stretch(rest, newest)
            room = limit - len(found)
            lines = await self.read(organisation, part, wanted, room, newest)
            found += lines
            done = part if len(lines) < room else through(part, lines[-1]["sequence"], newest)
            rest = behind(rest, done, newest)
            if monotonic() > until:
                break
        return Found(found, rest)

    async def read(
        self, organisation: str, part: Span, wanted: Sequence[Condition], limit: int, newest: bool
    ) -> list[Line]:
        """What meets all conditions there."""
        conditions = all_of(where("organisation = %s and sequence between %s and %s"), *wanted)
        query = sql.SQL("select {} from rollbook.events where {} order by sequence {} limit %s").format(
            sql.SQL(COLUMNS), conditions.text, sql.SQL("desc" if newest else "asc")
        )
        values = [organisation, part.first, part.last, *conditions.values, limit]
        return [dict(zip(NAMES, row, strict=True)) for row in await self.rows(organisation, query, values)]

    async def rows(self, organisation: str, query: sql.Composable, values: Sequence[Any]) -> list[Any]:
        """Reads as this organisation."""

        async def read() -> list[Any]:
            async with self.pools.reading(organisation) as connection:
                # Planned for these values: an organisation may have ten events or ten million.
                cursor = await connection.execute(sql.Composed([query]), values, prepare=False)
                return await cursor.fetchall()

        return await again_when_cut_off(read)


def stretch(span: Span, newest: bool) -> Span:
    """The part that is searched next."""
    if newest:
        return Span(max(span.first, span.last - STRETCH + 1), span.last)
    return Span(span.first, min(span.last, span.first + STRETCH - 1))


def through(part: Span, sequence: int, newest: bool) -> Span:
    """The part up to an event."""
    return Span(sequence, part.last) if newest else Span(part.first, sequence)


def behind(span: Span, done: Span, newest: bool) -> Span | None:
    """What is left of a span."""
    left = Span(span.first, done.first - 1) if newest else Span(done.last + 1, span.last)
    return left if left.first <= left.last else None


def where(text: LiteralString, *values: Any, column: str | None = None) -> Condition:
    """A condition of ours. `column` is one that has an index."""
    return Condition(sql.SQL(text), values, column)


def of_topic(topic: str) -> Condition:
    """A kind of event, or all kinds of an aggregate."""
    return where("(topic = %s or (topic > %s and topic < %s))", topic, f"{topic}.", f"{topic}/", column="topic")


def of_stream(stream_id: str) -> Condition:
    """One thing's own events."""
    return where("stream_id = %s", stream_id, column="stream_id")


def by_actors(actor_ids: Sequence[str]) -> Condition:
    """What any of these pseudonyms did."""
    return where("convert_from(envelope, 'UTF8')::jsonb #>> '{actor,id}' = any(%s)", list(actor_ids))


def saying(text: str, topics: Sequence[str]) -> Condition:
    """A text stands in the payload, or the event is of one of these kinds, in whose words it stands."""
    # By itself what is converted has no letters but those of ASCII.
    payload = "lower(convert_from(payload, 'UTF8') collate \"default\")"
    within = f"(strpos({payload}, lower(%s)) > 0 or topic = any(%s))"
    return where(within, as_written(text), list(topics))


def as_written(text: str) -> str:
    """A text as JSON writes it."""
    return orjson.dumps(text).decode()[1:-1]


def about(organisation: str, model: ReadModel, column: LiteralString, value: str) -> Condition:
    """Events of what has a value in a read model, which is named after its streams."""
    prefix = f"{model.name.removesuffix('s')}-"
    query = sql.SQL(
        "(stream_id between {} and {} and exists (select from rollbook_views.{} r where r.key = substr(stream_id, {})"
        " and r.organisation = %s and to_position = {} and {} = %s))"
    ).format(
        *map(sql.Literal, (prefix, f"{prefix}g")),
        sql.Identifier(table(model)),
        sql.Literal(len(prefix) + 1),
        sql.Literal(STILL),
        sql.Identifier(column),
    )
    return Condition(query, (organisation, value))
