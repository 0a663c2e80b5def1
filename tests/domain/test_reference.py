"""References to the past say a moment, a position, so long ago or so many changes; of a name or of everything."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from string import printable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.reference import LONGEST, MOST_CHANGES, Ago, Changes, Moment, Position, Reference, parse

WORDS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
POSITIONS = st.integers(0, 2**63 - 1).map(lambda n: (str(n), Position(n)))
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda at: (at.isoformat(), Moment(at)))
AGO = st.tuples(st.integers(0, 9_999_999), st.sampled_from("smhdw")).map(
    lambda told: (f"-{told[0]}{told[1]}", Ago(told[0] * (WORDS | {"w": timedelta(weeks=1)})[told[1]]))
)
PLAIN = st.one_of(POSITIONS, MOMENTS, AGO)
NAMES = st.text(min_size=1, max_size=60)


@given(PLAIN)
def test_what_stands_alone_is_of_everything(told: tuple[str, Position | Moment | Ago]) -> None:
    written, meant = told
    assert parse(written) == Reference(meant)


@given(NAMES, PLAIN)
def test_braces_behind_a_name_hold_whatever_may_stand_alone(
    name: str, told: tuple[str, Position | Moment | Ago]
) -> None:
    written, meant = told
    assert parse(f"{name}@{{{written}}}") == Reference(meant, name)


@given(NAMES, st.integers(0, MOST_CHANGES), st.integers(0, 2**63 - 1))
def test_a_tilde_counts_changes_and_a_hash_names_a_position(name: str, changes: int, position: int) -> None:
    assert parse(f"{name}~{changes}") == Reference(Changes(changes), name)
    assert parse(f"{name}#{position}") == Reference(Position(position), name)


@given(st.text(max_size=40) | st.text(printable, max_size=40))
def test_any_text_is_a_reference_or_is_refused(text: str) -> None:
    with suppress(Invalid):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "now", "-", "-15", "15m", "--15m", "-1.5h", "-15M", "-99999999m", "+3", "-3", "1e3", "٣", "3\n"),
        *("@{3}", "~3", "#3", "prod@", "prod@{}", "prod@{now}", "prod@{~3}", "prod@3", "prod@{3", "prod~", "prod~-1"),
        *("prod~x", "prod#", "prod#-1", "prod#x", "prod~٣", f"prod~{MOST_CHANGES + 1}", "prod~" + "9" * 40),
        *("2026-10-02", "2026-10-02T12:00:00", "2026-13-02T12:00:00Z", "20261002T120000Z", "2026-W40-5T12:00:00Z"),
        "p" * LONGEST + "~3",
    ],
)
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="^from "):
        parse(text, "from")


def test_a_plus_that_became_a_space_in_a_query_is_a_plus() -> None:
    noon = datetime(2026, 10, 2, 10, tzinfo=UTC)
    assert parse("2026-10-02T12:00:00 02:00").when == Moment(noon)
    assert parse("my prod@{2026-10-02T12:00:00 02:00}") == Reference(Moment(noon), "my prod")


def test_a_name_may_hold_what_marks_a_reference() -> None:
    assert parse("shop~2/prod#7") == Reference(Position(7), "shop~2/prod")
    assert parse("a@{3}~2") == Reference(Changes(2), "a@{3}")


def test_a_position_beyond_all_is_the_last_one() -> None:
    assert parse("9" * 400).when == Position(2**63 - 1)
