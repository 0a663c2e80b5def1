"""A period in the days, weeks or months of a time zone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from domain.errors import Invalid

LONGEST = timedelta(days=3660)
MOST_PARTS = 400


class Interval(StrEnum):
    """How a period is divided; weeks begin on Mondays."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name in the IANA's database, or Invalid."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid(f"time_zone is none that is known: {name}; write one like UTC or Europe/Berlin") from None


def check_period(begin: datetime, end: datetime) -> None:
    """Invalid unless it is a period that is not too long to ask about."""
    if begin >= end:
        raise Invalid("from must be before to")
    if end - begin > LONGEST:
        raise Invalid(f"The period is longer than {LONGEST.days} days")


def boundaries(begin: datetime, end: datetime, interval: Interval, zone: ZoneInfo) -> list[datetime]:
    """Where the parts of a period begin, and its end; the first and the last part may be cut short."""
    found = [begin.astimezone(UTC)]
    for start in starts_after(begin, interval, zone):
        if start >= end:
            break
        # Where a zone has left out a day, two days begin at once.
        if start > found[-1]:
            found.append(start)
        if len(found) > MOST_PARTS:
            raise Invalid(f"More than {MOST_PARTS} intervals: ask for a shorter period or longer intervals")
    return [*found, end.astimezone(UTC)]


def starts_after(begin: datetime, interval: Interval, zone: ZoneInfo) -> Iterator[datetime]:
    """When each next day, week or month begins there, without end."""
    day = begin.astimezone(zone).date()
    while True:
        day = following(day, interval)
        yield datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def following(day: date, interval: Interval) -> date:
    """The first day of the next part."""
    if interval is Interval.WEEK:
        return day + timedelta(days=7 - day.weekday())
    if interval is Interval.MONTH:
        return date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return day + timedelta(days=1)
