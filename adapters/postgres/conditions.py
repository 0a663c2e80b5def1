"""Parts of WHERE clauses: SQL of ours, with the caller's values apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from adapters.postgres.filing import filed


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of a WHERE clause: SQL of ours, with the caller's values apart."""

    text: sql.Composable
    values: tuple[Any, ...] = ()
    column: str | None = None


def equals(column: str, value: Any) -> Condition:
    """The column has this value; None is null."""
    if value is None:
        return Condition(sql.SQL("{} is null").format(sql.Identifier(column)), (), column)
    return Condition(sql.SQL("{} = %s").format(sql.Identifier(column)), (filed(value),), column)


def one_of(column: str, values: Sequence[str]) -> Condition:
    """The column has one of these values."""
    if len(values) == 1:
        return equals(column, str(values[0]))
    return Condition(sql.SQL("{} = any(%s)").format(sql.Identifier(column)), ([filed(str(v)) for v in values],), column)


def in_lanes(lane_ids: Sequence[str]) -> Condition:
    """The row is of one of these lanes."""
    return Condition(sql.SQL("lane_id = any(%s::uuid[])"), (list(lane_ids),), "lane_id")


def beyond(column: str, value: Any, ascending: bool) -> Condition:
    """What comes after this value in the order of the list."""
    comparison = sql.SQL("{} > %s" if ascending else "{} < %s")
    return Condition(comparison.format(sql.Identifier(column)), (value,))


def at_most(column: str, value: Any) -> Condition:
    """Up to this value."""
    return Condition(sql.SQL("{} <= %s").format(sql.Identifier(column)), (value,))


def all_of(*conditions: Condition) -> Condition:
    """Every one of them."""
    return joined(" and ", conditions)


def any_of(*conditions: Condition) -> Condition:
    """At least one of them."""
    return joined(" or ", conditions)


def joined(word: str, conditions: Sequence[Condition]) -> Condition:
    """Conditions as one, in brackets."""
    text = sql.SQL("({})").format(sql.SQL(word).join([one.text for one in conditions]))
    return Condition(text, tuple(value for one in conditions for value in one.values))
