"""Counts what the DORA figures are made of, in Postgres, over any period and as of any position."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import sql

from adapters.postgres.conditions import Condition, all_of, equals, one_of
from adapters.postgres.tables import named
from adapters.postgres.views import PostgresViews
from projections.figures import Deployments, Incidents, Spread
from projections.read_model import ReadModel, table
from projections.registry import DORA, INCIDENT_LINKS, INCIDENTS, TEAMS

SOURCES: tuple[ReadModel, ...] = (DORA, INCIDENTS, INCIDENT_LINKS, TEAMS)
SPREAD = "percentile_cont(array[0.5, 0.9]) within group (order by {}) filter (where {})"
WENT_LIVE = """
with links as (
  select deployment_id, bool_or(relation = 'caused') as caused, bool_or(relation = 'fixed') as fixed
    from {links} where {known_links} group by deployment_id),
undone as (
  select distinct rolls_back from {dora}
   where {known_rollbacks} and rolls_back is not null and went_live_at is not null),
counted as (
  select width_bucket(d.went_live_at, %s) as part, d.trigger <> 'rollback' as change, d.lead_seconds,
         d.taken_back or u.rolls_back is not null as taken_back,
         coalesce(l.caused, false) as caused,
         d.for_incident or d.trigger = 'rollback' or coalesce(l.fixed, false) as rework
    from (select * from {dora} where {known} and went_live_at >= %s and went_live_at < %s) d
    left join links l on l.deployment_id = d.key
    left join undone u on u.rolls_back = d.key)
select part, count(*), count(*) filter (where change), count(*) filter (where change and lead_seconds is null),
       count(*) filter (where change and lead_seconds < 0), count(*) filter (where taken_back),
       count(*) filter (where caused), count(*) filter (where taken_back or caused), count(*) filter (where rework),
       {lead}
  from counted group by grouping sets ((part), ())
"""
BROKEN = """
with counted as (
  select width_bucket(i.began_at, %s) as part, i.restore_seconds, coalesce(found.caused, false) as caused
    from (select * from {incidents} where {known} and began_at >= %s and began_at < %s) i
   cross join lateral (
     select count(*) as links, bool_or(l.relation = 'caused') as caused
       from (select * from {links} where {known_links}) l {of_scope} where l.incident_id = i.key) found
   where found.links >= {least_links})
select part, count(*), count(restore_seconds), count(*) filter (where caused),
       count(restore_seconds) filter (where caused), {restore}, {recovery}
  from counted group by grouping sets ((part), ())
"""
OF_SCOPE = "join (select key from {dora} where {scope}) d on d.key = l.deployment_id"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which deployments are meant: of one component, of a team's components, in one environment; None is all."""

    component: str | None = None
    components: Sequence[str] | None = None
    environment: str | None = None

    def conditions(self) -> list[Condition]:
        """What such a deployment meets."""
        found = [] if self.component is None else [equals("name", self.component)]
        found += [] if self.components is None else [one_of("name", list(self.components))]
        return found + ([] if self.environment is None else [equals("environment", self.environment)])


class Figures:
    """Counts for one organisation; every table is read as it was at one position."""

    def __init__(self, views: PostgresViews) -> None:
        self.views = views

    async def position(self, organisation: str, as_of: int | None, patient: bool) -> tuple[int, bool]:
        """The position that all tables have reached, and whether the organisation has recorded more."""
        if as_of is not None or patient:
            reached = [(await self.views.visible(organisation, model, as_of), False) for model in SOURCES]
        else:
            reached = [await self.views.shown(organisation, model) for model in SOURCES]
        return min(position for position, _ in reached), any(late for _, late in reached)

    async def deployments(
        self, organisation: str, scope: Scope, bounds: Sequence[datetime], position: int
    ) -> dict[int | None, Deployments]:
        """By the number of the part, from 1; under None the whole period."""
        known = all_of(*known_at(organisation, position), *scope.conditions())
        links = all_of(*known_at(organisation, position), equals("linked", True))
        rollbacks = all_of(*known_at(organisation, position))
        query = sql.SQL(WENT_LIVE).format(
            links=source(INCIDENT_LINKS),
            dora=source(DORA),
            known=known.text,
            known_links=links.text,
            known_rollbacks=rollbacks.text,
            lead=spread("lead_seconds", "change and lead_seconds >= 0"),
        )
        values = [*links.values, *rollbacks.values, list(bounds), *known.values, bounds[0], bounds[-1]]
        rows = await self.views.fetch(organisation, query, values, prepare=False)
        return {row[0]: Deployments(*(*row[1:9], spread_of(row[9]))) for row in rows}

    async def incidents(
        self, organisation: str, scope: Scope, bounds: Sequence[datetime], position: int
    ) -> dict[int | None, Incidents]:
        """The same of incidents; in a scope those that such a deployment is linked to."""
        known = all_of(*known_at(organisation, position))
        links = all_of(*known_at(organisation, position), equals("linked", True))
        of_scope = joined(organisation, scope, position)
        query = sql.SQL(BROKEN).format(
            links=source(INCIDENT_LINKS),
            incidents=source(INCIDENTS),
            known=known.text,
            known_links=links.text,
            of_scope=of_scope.text,
            least_links=sql.SQL("1" if of_scope.values else "0"),
            restore=spread("restore_seconds", "true"),
            recovery=spread("restore_seconds", "caused"),
        )
        values = [list(bounds), *known.values, bounds[0], bounds[-1], *links.values, *of_scope.values]
        rows = await self.views.fetch(organisation, query, values, prepare=False)
        return {row[0]: Incidents(*(*row[1:5], spread_of(row[5]), spread_of(row[6]))) for row in rows}


def source(model: ReadModel) -> sql.Identifier:
    """A read model's table."""
    return named(table(model))


def spread(what: LiteralString, where: LiteralString) -> sql.Composed:
    """The middle and the ninetieth percentile, between two neighbours in proportion."""
    return sql.SQL(SPREAD).format(sql.SQL(what), sql.SQL(where))


def spread_of(found: list[float | None] | None) -> Spread:
    """What Postgres says where there is nothing to order is nothing."""
    return Spread(*found) if found else Spread()


def known_at(organisation: str, position: int) -> list[Condition]:
    """What was valid at a position, of one organisation."""
    valid = Condition(sql.SQL("from_position <= %s and to_position > %s"), (position, position))
    return [equals("organisation", organisation), valid]


def joined(organisation: str, scope: Scope, position: int) -> Condition:
    """Keeps the links of a scope's deployments; nothing where all are meant."""
    if not scope.conditions():
        return Condition(sql.SQL(""))
    wanted = all_of(*known_at(organisation, position), *scope.conditions())
    return Condition(sql.SQL(OF_SCOPE).format(dora=source(DORA), scope=wanted.text), wanted.values)
