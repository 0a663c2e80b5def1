"""Periods in days, weeks and months: what a time zone does to them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from projections.figures import frequency
from projections.periods import LONGEST, MOST_PARTS, Interval, boundaries, zone_of

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Pacific/Apia", "Asia/Kathmandu", "Africa/Monrovia"])


def of_berlin(text: str) -> datetime:
    """A moment by the clocks there."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))


@given(begin=MOMENTS, days=st.floats(0.001, 390), interval=st.sampled_from(Interval), zone=ZONES)
def test_parts_follow_each_other_and_begin_where_days_weeks_and_months_do(
    begin: datetime, days: float, interval: Interval, zone: str
) -> None:
    end = begin + timedelta(days=days)
    found = boundaries(begin, end, interval, ZoneInfo(zone))
    assert (found[0], found[-1]) == (begin, end)
    assert all(one < next_one for one, next_one in pairwise(found))
    for start in (one.astimezone(ZoneInfo(zone)) for one in found[1:-1]):
        # Where clocks skip midnight, the day begins when they do.
        assert start.timestamp() == datetime(start.year, start.month, start.day, tzinfo=ZoneInfo(zone)).timestamp()
        assert interval is not Interval.WEEK or start.weekday() == 0
        assert interval is not Interval.MONTH or start.day == 1


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-07-01", 24)])
def test_a_day_has_as_many_hours_as_clocks_there_show(day: str, hours: int) -> None:
    begin = of_berlin(f"{day}T00:00:00")
    first, second = boundaries(begin, begin + timedelta(days=2), Interval.DAY, ZoneInfo("Europe/Berlin"))[:2]
    assert second - first == timedelta(hours=hours)


def test_a_day_that_a_zone_left_out_is_no_part() -> None:
    begin = datetime(2011, 12, 28, 10, tzinfo=UTC)
    found = boundaries(begin, begin + timedelta(days=4), Interval.DAY, ZoneInfo("Pacific/Apia"))
    assert [one.isoformat()[:13] for one in found] == [f"2011-12-{n}T10" for n in (28, 29, 30, 31)] + ["2012-01-01T10"]


def test_a_period_has_so_many_parts_and_no_more() -> None:
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    assert len(boundaries(begin, begin + timedelta(days=MOST_PARTS), Interval.DAY, zone_of("UTC"))) == MOST_PARTS + 1
    with pytest.raises(Invalid, match="More than 400"):
        boundaries(begin, begin + timedelta(days=MOST_PARTS, seconds=1), Interval.DAY, zone_of("UTC"))
    assert len(boundaries(begin - LONGEST, begin, Interval.MONTH, zone_of("UTC"))) <= MOST_PARTS


@pytest.mark.parametrize(
    ("deployments", "days", "band"),
    [(15, 14, "elite"), (14, 14, "high"), (2, 14, "high"), (1, 14, "medium"), (1, 30, "medium"), (1, 31, "low")],
)
def test_the_band_of_a_frequency(deployments: int, days: float, band: str) -> None:
    assert frequency(deployments, days)["band"] == band
