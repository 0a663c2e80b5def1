"""What changed in an environment or a component: look-ups in rows whose versions are the changes of what is live."""

from psycopg import sql

from adapters.postgres.filing import filed
from adapters.postgres.tables import named
from adapters.postgres.views import PostgresViews
from domain.reference import Named
from projections.read_model import STILL, table
from projections.registry import LANES, LIVE

TABLES = {"live": named(table(LIVE)), "lanes": named(table(LANES)), "still": sql.Literal(STILL)}
ENVIRONMENT = sql.SQL(
    "select 1 from {live} where organisation = %s and environment = %s and to_position = {still} limit 1"
).format(**TABLES)
# Lanes of components that a name may begin with, and the environments among those that it may end with.
PLACES = sql.SQL(
    """select l.name, array_agg(v.environment)
         from {lanes} l left join {live} v
           on v.lane_id = l.key::uuid and v.to_position = {still} and v.environment = any(%s)
        where l.organisation = %s and l.to_position = {still} and l.name = any(%s) group by l.name"""
).format(**TABLES)
LANES_OF = sql.SQL("select key from {lanes} where organisation = %s and to_position = {still} and name = %s").format(
    **TABLES
)
CHANGED_THERE = sql.SQL(
    """select distinct from_position from {live} where organisation = %s and environment = %s and changed
        order by from_position desc limit 1 offset %s"""
).format(**TABLES)
CHANGED_IN_LANES = sql.SQL(
    """select distinct c.from_position from unnest(%s::uuid[]) as l (lane_id) cross join lateral
              (select from_position from {live} v
                where v.organisation = %s and v.lane_id = l.lane_id and v.changed
                  and (%s::text is null or v.environment = %s)
                order by from_position desc limit %s) c
        order by c.from_position desc limit 1 offset %s"""
).format(**TABLES)


async def find_named(views: PostgresViews, organisation: str, name: str) -> Named | None:
    """What a name stands for: an environment, else a component, else component/environment."""
    for model in (LANES, LIVE):
        await views.visible(organisation, model)
    if await views.fetch(organisation, ENVIRONMENT, [organisation, filed(name)]):
        return Named(None, name)
    parts = name.split("/")
    ways = [("/".join(parts[:n]), "/".join(parts[n:])) for n in range(1, len(parts))]
    values = [[filed(after) for _, after in ways], organisation, [filed(name), *(filed(before) for before, _ in ways)]]
    found = dict(await views.fetch(organisation, PLACES, values))
    if filed(name) in found:
        return Named(name, None)
    return next((Named(*way) for way in ways if filed(way[1]) in found.get(filed(way[0]), ())), None)


async def last_change(views: PostgresViews, organisation: str, of: Named, count: int) -> int | None:
    """The position of the change so many changes ago; None when there were not so many."""
    environment = of.environment and filed(of.environment)
    if of.component is None:
        rows = await views.fetch(organisation, CHANGED_THERE, [organisation, environment, count - 1])
    else:
        lanes = await views.fetch(organisation, LANES_OF, [organisation, filed(of.component)])
        values = [[key for (key,) in lanes], organisation, environment, environment, count, count - 1]
        rows = await views.fetch(organisation, CHANGED_IN_LANES, values)
    return int(rows[0][0]) if rows else None
