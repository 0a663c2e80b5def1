"""Asks read models: as they are now, or as they were; never before the caller's organisation is caught up."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

import orjson
from psycopg import sql

from adapters.postgres import queries
from adapters.postgres.conditions import Condition
from adapters.postgres.pools import Pools, again_when_cut_off
from domain.errors import Unavailable
from projections.read_model import ReadModel, Row, table

POLL_SECONDS = 0.02
LAST = sql.SQL("select rollbook.last_position(%s)")
FRESHNESS = """
select rollbook.last_position(%s),
       coalesce((select position from rollbook_views.checkpoints where read_model = %s), 0),
       (select epoch from rollbook.identity)
"""


@dataclass(slots=True)
class Visibility:
    """How far this process knows the read models to be; readers wait here for the projector."""

    position: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def advance(self, position: int) -> None:
        """Lets go whoever waits for this position."""
        self.position = position
        self.moved.set()
        self.moved = asyncio.Event()

    async def wait_a_little(self) -> None:
        """Until something moves here, or long enough that another process may have moved."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.moved.wait(), POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order, and the position that they show; `late` when the organisation has recorded more than that."""

    rows: list[Row]
    position: int
    late: bool = False


class PostgresViews:
    """Every query names its organisation, and row-level security holds it to that.

    `epoch` is the one that answers are told to be of; in another one there are none.
    """

    def __init__(self, pools: Pools, visibility: Visibility, wait_ms: int = 2000, epoch: int | None = None) -> None:
        self.pools = pools
        self.visibility = visibility
        self.wait_seconds = wait_ms / 1000
        self.epoch = epoch

    async def select(
        self,
        organisation: str,
        model: ReadModel,
        conditions: Sequence[Condition] = (),
        order: str = "created_position desc",
        limit: int | None = None,
        as_of: int | None = None,
        patient: bool = True,
        passed_over: int = 0,
    ) -> Page:
        """The rows that meet all conditions, now or as of a position; who is not patient takes what is there.

        Of the first `limit` so many are passed over.
        """
        asked = queries.Asked(organisation, model, conditions, order, limit, passed_over)
        if as_of is not None:
            return Page(rows_of(await self.past_documents(asked, as_of)), as_of)
        if asked.single:
            documents, last, projected = await self.at_once(asked, queries.present(asked))
            if projected >= last or not patient:
                return Page(rows_of(documents), projected, projected < last)
        if patient:
            position, late = await self.visible(organisation, model), False
        else:
            position, late = await self.shown(organisation, model)
        return Page(rows_of(await self.documents(asked, queries.present(asked))), position, late)

    async def at_once(self, asked: queries.Asked, query: queries.Query) -> tuple[list[str], int, int]:
        """What a query finds, the organisation's last position and that of the read model, in one question."""
        both = sql.SQL(FRESHNESS + ", array({})").format(query[0])
        values = [asked.organisation, table(asked.model), *query[1]]
        told = (await self.ask(asked, (both, values)))[0]
        return told[3], *self.of_this_epoch(*told[:3])

    async def past_documents(self, asked: queries.Asked, as_of: int) -> list[str]:
        """What was so; where the newest versions up to then do not fill the page, everything valid is looked up."""
        query = queries.first_past(asked, as_of)
        documents, last, projected = await self.at_once(asked, query)
        if projected < min(as_of, last):
            await self.visible(asked.organisation, asked.model, as_of)
            documents = await self.documents(asked, query)
        if asked.fills_quickly and len(documents) < (asked.limit or 0) - asked.passed_over:
            return await self.documents(asked, queries.filed_past(asked, as_of))
        return documents

    async def documents(self, asked: queries.Asked, query: queries.Query) -> list[str]:
        """What a query finds."""
        return [row[0] for row in await self.ask(asked, query)]

    async def ask(self, asked: queries.Asked, query: queries.Query) -> list[Any]:
        """Planned anew for each filter, as a plan for any value is a bad one for some."""
        return await self.fetch(asked.organisation, *query, prepare=False if asked.skewed else None)

    async def count(
        self, organisation: str, model: ReadModel, conditions: Sequence[Condition], as_of: int | None = None
    ) -> int:
        """How many rows meet all conditions."""
        asked = queries.Asked(organisation, model, conditions)
        return int((await self.ask(asked, queries.count(asked, as_of)))[0][0])

    async def visible(self, organisation: str, model: ReadModel, as_of: int | None = None) -> int:
        """Waits until all that the organisation recorded, or all up to `as_of`, is in the read model; says how far."""
        deadline = monotonic() + self.wait_seconds
        last, projected = await self.freshness(organisation, model)
        # What others record while this waits is no reason to wait on: under load there would be no end to it.
        wanted = last if as_of is None else as_of
        while projected < min(wanted, last):
            if monotonic() > deadline:
                raise Unavailable("The read model has not caught up yet", position=projected, behind=last - projected)
            await self.visibility.wait_a_little()
            last, projected = await self.freshness(organisation, model)
        return projected if as_of is None else as_of

    async def shown(self, organisation: str, model: ReadModel) -> tuple[int, bool]:
        """How far the read model is, and whether the organisation has recorded more."""
        last, projected = await self.freshness(organisation, model)
        return projected, projected < last

    async def freshness(self, organisation: str, model: ReadModel) -> tuple[int, int]:
        """The organisation's last position, and the one that the read model shows."""
        found = await self.fetch(organisation, sql.SQL(FRESHNESS), [organisation, table(model)])
        return self.of_this_epoch(*found[0])

    def of_this_epoch(self, last: int, projected: int, epoch: int) -> tuple[int, int]:
        """Both positions, unless they are of a log that was restored since; then Unavailable."""
        if self.epoch not in (None, epoch):
            raise Unavailable("The store was restored from a backup; this process starts over")
        return last, projected

    async def last(self, organisation: str) -> int:
        """The position of the last thing that the organisation recorded."""
        return int((await self.fetch(organisation, LAST, [organisation]))[0][0])

    async def position_at(self, organisation: str, moment: datetime) -> int:
        """The last position that was there at a moment."""
        return int((await self.fetch(organisation, sql.SQL("select rollbook.position_at(%s)"), [moment]))[0][0])

    async def fetch(
        self,
        organisation: str,
        query: sql.SQL | sql.Composed,
        values: list[Any] | dict[str, Any],
        prepare: bool | None = None,
    ) -> list[Any]:
        """Runs a query as a reader of this organisation."""

        async def read() -> list[Any]:
            async with self.pools.reading(organisation) as connection:
                cursor = await connection.execute(query, values, prepare=prepare, binary=True)
                return await cursor.fetchall()

        return await again_when_cut_off(read)


def rows_of(documents: list[str]) -> list[Row]:
    """The rows that documents hold."""
    return [orjson.loads(document) for document in documents]
