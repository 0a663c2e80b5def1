"""Finds what was live at a moment as it is known at a position: one look-up for each lane and environment."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from adapters.postgres.tables import named
from adapters.postgres.views import PostgresViews, rows_of
from projections.live_intervals import live_at
from projections.read_model import STILL, Row, moment, table
from projections.registry import LIVE, LIVE_INTERVALS

TABLES = {"live": named(table(LIVE)), "intervals": named(table(LIVE_INTERVALS)), "still": sql.Literal(STILL)}
# Who went live last before the moment, in each place; and all that went live more than once.
CANDIDATES = sql.SQL(
    """select found.document from {live} p cross join lateral
              (select document from {intervals} i
                where i.place = p.key::uuid and i.organisation = p.organisation and i.valid_from <= %(moment)s
                  and i.from_position <= %(position)s and i.to_position > %(position)s
                order by i.valid_from desc, i.live_position desc limit 1) found
        where p.organisation = %(organisation)s and p.to_position = {still} and p.created_position <= %(position)s
          and (%(lanes)s::uuid[] is null or p.lane_id = any(%(lanes)s::uuid[]))
    union all
    select document from {intervals}
     where organisation = %(organisation)s and again and first_from <= %(moment)s
       and from_position <= %(position)s and to_position > %(position)s
       and (%(lanes)s::uuid[] is null or lane_id = any(%(lanes)s::uuid[]))"""
).format(**TABLES)


async def live_then(
    views: PostgresViews, organisation: str, then: datetime, position: int, lanes: Sequence[str] | None = None
) -> list[Row]:
    """What was live in each lane and environment at a moment, as far as was known at a position."""
    values: dict[str, Any] = {"organisation": organisation, "moment": then, "position": position}
    values["lanes"] = None if lanes is None else list(lanes)
    found = await views.fetch(organisation, CANDIDATES, values, prepare=False)
    places: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of([document for (document,) in found]):
        places[row["place"]].append(row)
    at = moment(then.astimezone(UTC))
    return [one for rows in places.values() if (one := live_at(rows, at))]
