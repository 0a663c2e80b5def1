"""References to the past: a moment, a position, so long ago; or a name with one of these or with so many changes."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.errors import Invalid

LONGEST = 2000
MOST_CHANGES = 100_000
LAST_POSITION = 2**63 - 1
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
RFC_3339 = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
POSITION = re.compile("[0-9]+")
AGO = re.compile("-([0-9]{1,7})([smhdw])")
# The last mark counts, so that a name may hold marks too.
NAMED = re.compile(r"(.+)(?:@\{([^{}]*)\}|~([0-9]+)|#([0-9]+))", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Position:
    """So many events after the beginning of the log."""

    number: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A time with an offset."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Ago:
    """So long before now."""

    length: timedelta


@dataclass(frozen=True, slots=True)
class Changes:
    """As it was before the last so many changes of what is live."""

    count: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A point in time, and the name that it was asked of: an environment, a component, or component/environment."""

    when: Position | Moment | Ago | Changes
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What a name stands for; at least one of both."""

    component: str | None
    environment: str | None


def parse(text: str, called: str = "as_of") -> Reference:
    """What a reference says. `called` is what the caller gave it as, for the refusal."""
    if len(text) > LONGEST:
        raise Invalid(f"{called} is longer than {LONGEST} characters")
    named = NAMED.fullmatch(text)
    if named is None:
        return Reference(plain(text, called))
    name, when, changes, position = named.groups()
    if when is not None:
        return Reference(plain(when, called), name)
    return Reference(Position(counted(position)) if position else so_many(changes, called), name)


def plain(text: str, called: str) -> Position | Moment | Ago:
    """A reference without a name."""
    if POSITION.fullmatch(text):
        return Position(counted(text))
    if ago := AGO.fullmatch(text):
        return Ago(timedelta(**{UNITS[ago[2]]: int(ago[1])}))
    return Moment(parse_moment(text, called))


def counted(digits: str) -> int:
    """The number; none beyond the last position that there can be."""
    return min(int(digits[:20]), LAST_POSITION)


def so_many(digits: str, called: str) -> Changes:
    """How many changes; a walk back has a limit."""
    if counted(digits) > MOST_CHANGES:
        raise Invalid(f"{called} goes back more than {MOST_CHANGES} changes")
    return Changes(counted(digits))


def parse_moment(text: str, called: str = "as_of") -> datetime:
    """A moment in RFC 3339, which has an offset."""
    # A space is what a plus becomes in a query that nobody encoded.
    written = text.replace(" ", "+").upper()
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        moment = None
    if moment is None or not RFC_3339.match(written):
        raise Invalid(
            f"{called} is no reference to the past: write a time in RFC 3339, a position, -15m,"
            " NAME@{a time, a position or -15m}, NAME~3 or NAME#position"
        )
    if moment.tzinfo is None:
        raise Invalid(f"{called} has no offset: write Z or +00:00 behind the time")
    return moment
