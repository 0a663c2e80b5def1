"""Rows of plain texts become the same objects as those that are taken apart, whatever stands in them."""

import orjson
from hypothesis import given
from hypothesis import strategies as some

from adapters.packages.rows import Rows
from domain.dataset import Column, DatabaseKind, Table

TABLE = Table("t", "public", (Column("id", "bigint"), Column('a%s"b', "text"), Column("c", "boolean")))
PIECES = some.sampled_from(["a", '"', "\\", ",", "]", "[", "%s", "\n", "null", " ", "é"])
TEXTS = some.lists(PIECES, max_size=4).map("".join)
WHOLES = some.one_of(some.integers(0, 99).map(str), some.sampled_from(["-1", "0", "00", "1,2", "", "9" * 15, "9" * 16]))
LISTED = some.lists(some.tuples(WHOLES, some.none() | TEXTS, some.sampled_from(["true", "false", "t"])), min_size=1)


@given(LISTED)
def test_both_ways_make_the_same_objects_and_the_same_digest(rows: list[tuple[str | None, ...]]) -> None:
    lines = [orjson.dumps(row) for row in rows]
    short, long = Rows(DatabaseKind.POSTGRESQL, TABLE), Rows(DatabaseKind.POSTGRESQL, TABLE)
    long.plain.joints = set()
    assert long.plain.objects(lines) is None
    assert short.objects(lines) == long.objects(lines)
    assert short.sha256.digest() == long.sha256.digest()


def test_plain_rows_take_the_short_way() -> None:
    lines = [b'["1","a, b","true"]', b'["20","","false"]']
    found = Rows(DatabaseKind.POSTGRESQL, TABLE).plain.objects(lines)
    assert found == b'{"id":1,"a%s\\"b":"a, b","c":true},{"id":20,"a%s\\"b":"","c":false}'


def test_what_is_no_line_of_ours_does_not_take_it() -> None:
    for line in (
        b'["1", "a","true"]',
        b'["1","a","true","x"]',
        b'["1","a"]',
        b'["1",null,"true"]',
        b'["1","\\u0061","true"]',
    ):
        assert Rows(DatabaseKind.POSTGRESQL, TABLE).plain.objects([line, b'["1","a","true"]']) is None
