"""Writes the queries for rows of read models, as they are now or as they were at a position."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from adapters.postgres.conditions import Condition, equals
from adapters.postgres.intervals import forks_at
from adapters.postgres.tables import named
from projections.read_model import STILL, ReadModel, table

Query = tuple[sql.Composed, list[Any]]
# How many versions, as a multiple of the page, are looked through before everything valid is looked up; and for pages
# of which size at most.
LOOKED_THROUGH = 2
LARGEST_PAGE = 1000
# Hardly any version with one of these statuses is valid for long.
PASSING = frozenset(("scheduled", "in_progress"))
# Which forks the planner must not see: most rows are filed at the highest of them, though hardly one that waits is.
FILED = sql.SQL("fork = any(array(select unnest(%s::bigint[])))")
NOW = Condition(sql.SQL(f"to_position = {STILL}"))


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of one organisation that meet all conditions, in an order ("column" or "column desc").

    Of the first `limit` so many are passed over.
    """

    organisation: str
    model: ReadModel
    conditions: Sequence[Condition] = ()
    order: str = "created_position desc"
    limit: int | None = None
    passed_over: int = 0

    @property
    def churns(self) -> bool:
        """Whether few of the versions that begin in order may have been valid at one position."""
        return "filed" in self.model.indexes or self.by_status

    @property
    def by_status(self) -> bool:
        """Whether the rows are chosen by what changes most."""
        return any(c.column == "status" for c in self.conditions)

    @property
    def fills_quickly(self) -> bool:
        """Whether the first versions in order are worth a look: most statuses stay for good, some do not."""
        stays = any(one not in PASSING for c in self.conditions if c.column == "status" for one in flat(c.values))
        return stays and self.limit is not None and self.limit <= LARGEST_PAGE

    @property
    def skewed(self) -> bool:
        """Whether the best plan depends on the values: one environment has half of the rows, another has ten."""
        return any(c.column != "key" for c in self.conditions)

    @property
    def single(self) -> bool:
        """Whether at most one row can meet the conditions."""
        return any(c.column == "key" and len(c.values) == 1 and isinstance(c.values[0], str) for c in self.conditions)

    @property
    def source(self) -> sql.Identifier:
        """The table."""
        return named(table(self.model))


def flat(values: tuple[Any, ...]) -> list[Any]:
    """The values of a condition on one column, be it one or several."""
    return list(values[0]) if values and isinstance(values[0], list) else list(values)


def present(asked: Asked) -> Query:
    """What is valid now."""
    several = [c for c in asked.conditions if c.column == "status" and isinstance(c.values[0], list)]
    if several and asked.limit is not None:
        return present_each(asked, several[0])
    where, values = all_of(asked, [NOW])
    query = sql.SQL("select document from {} where {}").format(asked.source, where)
    return paged(query, values, asked)


def present_each(asked: Asked, several: Condition) -> Query:
    """A page of each of several statuses, and then of all: each is found in order, all of them together are not."""
    others = [c for c in asked.conditions if c is not several]
    each = Condition(sql.SQL("status = wanted.one"))
    where, values = all_of(Asked(asked.organisation, asked.model, others), [NOW, each])
    inner, values = paged(
        sql.SQL("select document, {} from {} where {}").format(ordered_by(asked), asked.source, where), values, asked, 1
    )
    query = sql.SQL("select document from unnest(%s::text[]) as wanted (one) cross join lateral ({}) found")
    return paged(query.format(inner), [several.values[0], *values], asked)


def first_past(asked: Asked, as_of: int) -> Query:
    """What was valid at a position, or the newest of it where that is likely to fill the page."""
    if not asked.churns:
        return past(asked, as_of)
    return newest_past(asked, as_of) if asked.fills_quickly else filed_past(asked, as_of)


def past(asked: Asked, as_of: int) -> Query:
    """What was valid at a position, where most versions that were there already still were."""
    where, values = all_of(asked, valid_at(as_of))
    query = sql.SQL("select document from {} where {}").format(asked.source, where)
    return paged(query, values, asked)


def newest_past(asked: Asked, as_of: int) -> Query:
    """What was valid at a position among the first versions in order; all there is only if it fills the page."""
    where, values = all_of(asked, [at_most_created(as_of)])
    columns = sql.SQL("select document, from_position, to_position, {} from {} where {}")
    inner, values = paged(columns.format(ordered_by(asked), asked.source, where), values, asked, LOOKED_THROUGH)
    query = sql.SQL("select document from ({}) looked_through where {}")
    valid = sql.SQL(" and ").join(c.text for c in valid_at(as_of)[1:])
    return paged(query.format(inner, valid), [*values, as_of, as_of], asked)


def filed_past(asked: Asked, as_of: int) -> Query:
    """Everything that was valid at a position, found where it is filed; then the page of it."""
    where, values = all_of(asked, [filed_at(as_of), *valid_at(as_of)])
    columns = sql.SQL("with found as materialized (select document, {} from {} where {}) select document from found")
    return paged(columns.format(ordered_by(asked), asked.source, where), values, asked)


def count(asked: Asked, as_of: int | None) -> Query:
    """How many there are, or were."""
    when = [NOW] if as_of is None else valid_at(as_of)
    if as_of is not None and asked.churns:
        when = [filed_at(as_of), *when]
    where, values = all_of(asked, when)
    return sql.SQL("select count(*) from {} where {}").format(asked.source, where), values


def all_of(asked: Asked, when: Sequence[Condition]) -> tuple[sql.Composed, list[Any]]:
    """All conditions, with their values in order."""
    parts = [equals("organisation", asked.organisation), *when, *asked.conditions]
    return sql.SQL(" and ").join(p.text for p in parts), [value for p in parts for value in p.values]


def valid_at(position: int) -> list[Condition]:
    """The row was there, and this version of it was the valid one."""
    began = Condition(sql.SQL("from_position <= %s"), (position,))
    return [at_most_created(position), began, Condition(sql.SQL("to_position > %s"), (position,))]


def at_most_created(position: int) -> Condition:
    """The row was there; nothing that came later need be looked at."""
    return Condition(sql.SQL("created_position <= %s"), (position,))


def filed_at(position: int) -> Condition:
    """The version is filed where versions are that were valid then; planned alike for every position.

    Measured at 1,000,000 events: queues took 60 to 200 ms at a quarter of all positions before, and 1 ms since.
    """
    return Condition(FILED, (forks_at(position),))


def ordered_by(asked: Asked) -> sql.Identifier:
    """The column that gives the order."""
    return sql.Identifier(asked.order.split()[0])


def paged(query: sql.Composed, values: list[Any], asked: Asked, times: int | None = None) -> Query:
    """In order, and not more than so many: a page, or that many times what leads to its end."""
    direction = sql.SQL(" desc" if asked.order.endswith(" desc") else "")
    query = query + sql.SQL(" order by ") + ordered_by(asked) + direction
    if asked.limit is None:
        return query, values
    if times is None and asked.passed_over:
        page = [asked.limit - asked.passed_over, asked.passed_over]
        return query + sql.SQL(" limit %s offset %s"), [*values, *page]
    return query + sql.SQL(" limit %s"), [*values, asked.limit * (times or 1)]
