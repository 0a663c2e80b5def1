"""However a row is written as JSON, COPY is given the same."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.databases.postgresql.loading import as_csv, row
from domain.errors import Invalid

WIDTH = 3
TEXTS = st.text(alphabet=st.sampled_from('ab \t\r\n"\\[],nul{}é\u2028\x7f'), max_size=8)
VALUES = st.one_of(st.none(), TEXTS, st.sampled_from(["null", " null", "]\n[", '","', "", " "]))
BLANKS = st.sampled_from(["", "", "", " ", "  ", "\t", "\r"])


@st.composite
def lines(draw: st.DrawFn) -> list[bytes]:
    """Rows as lines of JSON, with blanks wherever JSON overlooks them."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        values = [orjson.dumps(draw(VALUES)).decode() for _ in range(WIDTH)]
        pieces = blanks(draw, values) if draw(st.booleans()) else ["[", ",".join(values), "]"]
        found.append("".join(pieces).encode())
    return found


def blanks(draw: st.DrawFn, values: list[str]) -> list[str]:
    """A row in pieces, with blanks between them."""
    pieces = ["["]
    for number, value in enumerate(values):
        pieces += [*([","] if number else []), value]
    return [text for piece in [*pieces, "]"] for text in (draw(BLANKS), piece, draw(BLANKS))]


@given(lines())
def test_blanks_between_values_are_none_of_theirs(rows: list[bytes]) -> None:
    assert as_csv(rows, "rows", WIDTH) == b"".join(row(line, "rows", WIDTH) for line in rows)


@pytest.mark.parametrize("line", [b' ["a"]', b'["a"] ', b'[ "a"]', b'["a" ]', b'\t["a"]', b'["a"]'])
@pytest.mark.parametrize("before", [[], [b'["b"]']])
@pytest.mark.parametrize("after", [[], [b'["c"]']])
def test_a_blank_is_overlooked_wherever_it_stands(before: list[bytes], line: bytes, after: list[bytes]) -> None:
    assert as_csv([*before, line, *after], "rows", 1) == as_csv([*before, b'["a"]', *after], "rows", 1)


def test_what_is_no_row_is_refused() -> None:
    for line in (b'"a"', b"{}", b"", b'["a"', b'["a","b"] '):
        with pytest.raises(Invalid):
            as_csv([b'["b"]', line], "rows", 1)


def test_no_rows_are_nothing() -> None:
    assert as_csv([], "rows", WIDTH) == b""
