"""Filters of documents are hostile: only operators on a list, and never everything where less was meant."""

from typing import Any

import pytest
from bson import Int64, ObjectId, Regex
from hypothesis import given
from hypothesis import strategies as st

from adapters.databases.mongodb.filters import parse_filter
from domain.errors import Invalid

OID = "65a000000000000000000001"
GOOD: list[tuple[Any, Any]] = [
    ({}, {}),
    ({"a": 1, "b.c": None}, {"a": 1, "b.c": None}),
    ({"a": {"$gt": {"$numberLong": "5"}, "$lt": 9}}, {"a": {"$gt": Int64(5), "$lt": 9}}),
    ({"$or": [{"a": {"$in": [{"$oid": OID}]}}, {"b": {"$exists": False}}]},) * 2,
    ({"a": {"$regex": "^x", "$options": "i", "$ne": "xy"}}, {"a": {"$regex": "^x", "$options": "i", "$ne": "xy"}}),
    ({"a": {"$regularExpression": {"pattern": "^x", "options": "i"}}}, {"a": Regex("^x", "i")}),
    ({"a": {"$not": {"$size": 2}}}, {"a": {"$not": {"$size": 2}}}),
    ({"a": {"$elemMatch": {"b": {"$gte": 1}, "$or": [{"c": 1}, {"d": 2}]}}},) * 2,
    ({"a": {"$elemMatch": {"$gte": 1, "$lt": 3}}},) * 2,
    ({"a": {"b": [1, {"c": "$where"}]}}, {"a": {"b": [1, {"c": "$where"}]}}),
]
BAD: list[tuple[Any, str]] = [
    (None, "must be a JSON object"),
    ("a = 1", "must be a JSON object"),
    ([], "must be a JSON object"),
    ({"$where": "true"}, r"'\$where' is not an operator.*at \$where"),
    ({"$expr": {"$function": {"body": "", "args": [], "lang": "js"}}}, r"'\$expr'"),
    ({"a": {"$not": {"$where": "1"}}}, r"'\$where'.*at a\.\$not\.\$where"),
    ({"$and": [{"x": 1}, {"$or": [{"$where": "1"}]}]}, r"at \$and\[1\]\.\$or\[0\]\.\$where"),
    ({"a": {"$in": [{"$function": 1}]}}, r"'\$function' has no place in a value"),
    ({"a": {"b": {"$gt": 1}}}, r"'\$gt' has no place in a value"),
    ({"a": {"$eq": {"$accumulator": {}}}}, r"accumulator"),
    ({"a": {"$gt": 1, "b": 2}}, r"'b' is not an operator"),
    ({"a": {"$code": "1"}}, r"'\$code' has no place"),
    ({"a": {"$oid": "nope"}}, r"'\$oid' is not written as Extended JSON"),
    ({"a": {"$date": {"$numberLong": "x"}}}, r"'\$date'"),
    ({"a": {"$numberLong": "9" * 30}}, r"'\$numberLong'"),
    ({"$or": []}, "a list that is not empty"),
    ({"$or": {"a": 1}}, "a list that is not empty"),
    ({"a": {"$regex": "x" * 2000}}, "regular expression"),
    ({"a": {"$options": "i"}}, "needs"),
    ({"a": {"$regex": "x", "$options": "e"}}, "may hold"),
    ({"a": {"$type": 99}}, "name of a type"),
    ({"": 1}, "cannot be the name"),
    ({"a..b": 1}, "cannot be the name"),
    ({"a.$where": 1}, "cannot be the name"),
    ({"a": 2**64}, "too large"),
    ({"a": "x" * 200_000}, "longer than"),
    ({"$comment": "x"}, r"'\$comment'"),
    ({"$text": {"$search": "x"}}, r"'\$text'"),
    ({"$jsonSchema": {}}, r"'\$jsonSchema'"),
]


@pytest.mark.parametrize(("said", "found"), GOOD)
def test_a_filter_is_read_as_it_is_meant(said: Any, found: Any) -> None:
    assert repr(parse_filter(said, "a")) == repr(found).replace(f"{{'$oid': '{OID}'}}", repr(ObjectId(OID)))


@pytest.mark.parametrize(("said", "why"), BAD)
def test_a_bad_filter_is_refused_with_the_place_of_what_is_bad(said: Any, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        parse_filter(said, "a")


def test_a_filter_has_limits_of_depth_and_size() -> None:
    deep: Any = {"a": 1}
    for _ in range(50):
        deep = {"$and": [deep]}
    with pytest.raises(Invalid, match="levels"):
        parse_filter(deep, "a")
    with pytest.raises(Invalid, match="parts"):
        parse_filter({"a": {"$in": list(range(12_000))}}, "a")


OPERATORS = ["$where", "$function", "$expr", "$gt", "$in", "$or", "$not", "$oid", "$regex", "$elemMatch", "$date"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(OPERATORS)
NAMES = st.text(max_size=5) | st.sampled_from([*OPERATORS, "a", "b.c"])
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
FORBIDDEN = {"$where", "$function", "$expr", "$accumulator"}


def names_in(found: Any) -> set[str]:
    """Every name in a filter."""
    if isinstance(found, dict):
        return set(found).union(*map(names_in, found.values()))
    return set().union(*map(names_in, found)) if isinstance(found, list) else set()


@given(ANYTHING)
def test_whatever_comes_is_read_or_refused(said: Any) -> None:
    try:
        found = parse_filter(said, "a")
    except Invalid:
        return
    assert not names_in(found) & FORBIDDEN
    assert list(found) == list(said)
