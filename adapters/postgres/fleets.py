"""Reads what a fleet is made of, as it was at one position; and what differs in the lanes between two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import sql

from adapters.postgres.conditions import Condition, beyond, equals
from adapters.postgres.queries import Asked, all_of, filed_at, valid_at
from adapters.postgres.views import PostgresViews
from domain.errors import TooLarge
from projections.fleet import QUEUE_SHOWN, Facts
from projections.read_model import ReadModel, Row, table
from projections.registry import DATA_DEPLOYMENTS, DEPLOYMENTS, FLEET_LANES, FREEZES

MODELS = (FLEET_LANES, DEPLOYMENTS, FREEZES, DATA_DEPLOYMENTS)
TABLES = [table(model) for model in MODELS]
REACHED = sql.SQL(
    """select rollbook.last_position(%s), (select epoch from rollbook.identity), coalesce(
         (select min(position) from rollbook_views.checkpoints where read_model = any(%s) having count(*) = %s), 0)"""
)
MOST_LANES = 10_000
MOST_FREEZES = 1000
MOST_PACKAGES = 10_000
UNLIFTED = Condition(sql.SQL("document::jsonb ->> 'lifted_at' is null"))
ACTIVE = Condition(sql.SQL("is_active"))
SINCE = sql.SQL(
    "select from_position, document from {table} where {where} order by created_position desc limit {limit}"
)
DOCUMENTS = sql.SQL("select document from {table} where {where} order by created_position desc limit {limit}")
# Each queue is found whole, so that its length is known, and its newest deployments are told.
QUEUES = sql.SQL(
    """with found as materialized (select lane_id, environment, created_position, document from {table} where {where}),
            placed as (select created_position, document, row_number() over queue as place,
                              count(*) over (partition by lane_id, environment) as length
                         from found window queue as (partition by lane_id, environment order by created_position desc))
       select document, length from placed where place <= {limit} order by created_position desc"""
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose fleet, and which part of it: `of_lanes` are members of taxonomies, `below` is where a page goes on."""

    organisation: str
    of_lanes: Mapping[str, str | None]
    environment: str | None = None
    below: int | None = None
    limit: int = MOST_LANES


class Fleets:
    """Fleets of the past; the present is the past as of the last position."""

    def __init__(self, views: PostgresViews) -> None:
        self.views = views

    async def shown(self, organisation: str) -> tuple[int, bool]:
        """How far all that a fleet is made of has come, and whether the organisation has recorded more."""
        last, projected = await self.reached(organisation)
        return min(projected, last), projected < last

    async def reached(self, organisation: str) -> tuple[int, int]:
        """The organisation's last position, and how far all read models are that a fleet is made of."""
        found = await self.views.fetch(organisation, REACHED, [organisation, TABLES, len(TABLES)])
        last, epoch, projected = found[0]
        return self.views.of_this_epoch(last, projected, epoch)

    async def visible(self, organisation: str, position: int) -> None:
        """Waits until all up to a position is to be seen."""
        last, projected = await self.reached(organisation)
        if projected < min(position, last):
            for model in MODELS:
                await self.views.visible(organisation, model, position)

    async def present(self, organisation: str) -> int:
        """Waits until all that the organisation recorded is to be seen; says up to where, whatever others record."""
        last, projected = await self.reached(organisation)
        if projected < last:
            for model in MODELS:
                await self.views.visible(organisation, model)
        return last

    async def facts(self, wanted: Wanted, position: int, at: datetime) -> Facts:
        """What the fleet was made of at a position; `at` decides which freezes were over by then."""
        await self.visible(wanted.organisation, position)
        lanes = [lane for _, lane in await self.lanes(wanted, position)]
        return await self.completed(wanted, position, at, lanes)

    async def two(
        self, wanted: Wanted, first: tuple[int, datetime], second: tuple[int, datetime]
    ) -> tuple[Facts, Facts]:
        """What it was made of at two positions, the earlier one first; lanes that did not change are read once.

        TooLarge when there are more lanes than can be compared.
        """
        await self.visible(wanted.organisation, second[0])
        after = await self.lanes(wanted, second[0])
        if len(after) == wanted.limit:
            raise TooLarge(f"More than {wanted.limit - 1} lanes: name a component, a region or another part of them")
        changed = [(since, lane) for since, lane in await self.lanes(wanted, first[0], second[0])]
        before = [lane for since, lane in (*after, *changed) if since <= first[0]]
        return (
            await self.completed(wanted, *first, before),
            await self.completed(wanted, *second, [lane for _, lane in after]),
        )

    async def completed(self, wanted: Wanted, position: int, at: datetime, lanes: Sequence[Row]) -> Facts:
        """The lanes with all that stands around them."""
        waiting = await self.waiting(wanted, position) if lanes else ()
        freezes = await self.rows(wanted, FREEZES, position, [UNLIFTED], MOST_FREEZES)
        here = [equals("environment", wanted.environment)] if wanted.environment is not None else []
        packages = await self.rows(
            wanted, DATA_DEPLOYMENTS, position, [filed_at(position), ACTIVE, *here], MOST_PACKAGES
        )
        return Facts(position, at, lanes, waiting, freezes, packages, wanted.environment)

    async def changed_freezes(self, wanted: Wanted, beyond: int, position: int) -> list[tuple[int, Row]]:
        """Freezes as they were at a position, each with the position since which it was so: those that may have
        been declared or lifted beyond an earlier one, or have run out by themselves."""
        touched = Condition(sql.SQL("(from_position > %s or document::jsonb ->> 'until' is not null)"), (beyond,))
        found = await self.fetch(wanted, FREEZES, SINCE, position, [touched], MOST_FREEZES)
        return [(since, orjson.loads(document)) for since, document in found]

    async def lanes(self, wanted: Wanted, position: int, ended_by: int | None = None) -> list[tuple[int, Row]]:
        """Lanes as they were, each with the position since which it was so; or only those that changed since."""
        conditions = [filed_at(position), *self.taxonomy(wanted)]
        if ended_by is not None:
            conditions.append(Condition(sql.SQL("to_position <= %s"), (ended_by,)))
        if wanted.below is not None:
            conditions.append(beyond("created_position", wanted.below, ascending=False))
        found = await self.fetch(wanted, FLEET_LANES, SINCE, position, conditions, wanted.limit)
        return [(since, {**orjson.loads(document), "since_position": since}) for since, document in found]

    async def waiting(self, wanted: Wanted, position: int) -> list[tuple[Row, int]]:
        """The heads of all queues, newest first, each with the length of its queue."""
        conditions = [filed_at(position), equals("status", "scheduled"), *self.taxonomy(wanted)]
        if wanted.environment is not None:
            conditions.append(equals("environment", wanted.environment))
        found = await self.fetch(wanted, DEPLOYMENTS, QUEUES, position, conditions, QUEUE_SHOWN)
        return [(orjson.loads(document), length) for document, length in found]

    async def rows(
        self, wanted: Wanted, model: ReadModel, position: int, conditions: Sequence[Condition], limit: int
    ) -> list[Row]:
        """Rows of another read model."""
        found = await self.fetch(wanted, model, DOCUMENTS, position, conditions, limit)
        return [orjson.loads(document) for (document,) in found]

    def taxonomy(self, wanted: Wanted) -> list[Condition]:
        """The lanes that are asked for."""
        return [equals(member, value) for member, value in wanted.of_lanes.items()]

    async def fetch(
        self,
        wanted: Wanted,
        model: ReadModel,
        query: sql.SQL,
        position: int,
        conditions: Sequence[Condition],
        limit: int,
    ) -> list[Any]:
        """What a query of ours finds that was valid at a position."""
        asked = Asked(wanted.organisation, model, conditions)
        where, values = all_of(asked, valid_at(position))
        composed = query.format(table=asked.source, where=where, limit=sql.Literal(limit))
        return await self.views.fetch(wanted.organisation, composed, values, prepare=False)
