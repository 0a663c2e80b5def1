"""Which documents of a package a filter means, decided here as MongoDB decides it: no server is asked.

Operators that would run somebody's pattern or look at bits are refused. Texts compare by their code points.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson import Binary, Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from adapters.databases.mongodb.extended import UNREADABLE, digest, from_extended, number_text, to_json
from adapters.databases.mongodb.filters import parse_filter
from domain.errors import Invalid

Test = Callable[[Any], bool]
MISSING = object()
TYPES: Mapping[type, tuple[str, ...]] = {
    bool: ("bool",),
    int: ("int", "long", "number"),
    float: ("double", "number"),
    Decimal128: ("decimal", "number"),
    str: ("string",),
    dict: ("object",),
    list: ("array",),
    ObjectId: ("objectId",),
    DatetimeMS: ("date",),
    datetime: ("date",),
    type(None): ("null",),
    bytes: ("binData",),
    Binary: ("binData",),
    Regex: ("regex",),
    Timestamp: ("timestamp",),
    MinKey: ("minKey",),
    MaxKey: ("maxKey",),
}
INT = range(-(2**31), 2**31)


def matcher(said: Any, collection: str) -> Callable[[bytes], bool]:
    """Decides of each line whether its document is meant; Invalid for what is not understood."""
    test = condition(parse_filter(said, collection))

    def decide(line: bytes) -> bool:
        try:
            return test(from_extended(line))
        except UNREADABLE:
            raise Invalid(f"A document of '{collection}' is not written as Extended JSON has it") from None

    return decide


def condition(said: Mapping[str, Any]) -> Test:
    """What a document must be like."""
    tests = [several(name, value) if name.startswith("$") else field(name, value) for name, value in said.items()]
    return lambda document: all(test(document) for test in tests)


def several(name: str, said: Any) -> Test:
    """All of several conditions, one of them, or none."""
    tests = [condition(one) for one in said]
    if name == "$and":
        return lambda document: all(test(document) for test in tests)
    if name == "$or":
        return lambda document: any(test(document) for test in tests)
    return lambda document: not any(test(document) for test in tests)


def field(name: str, said: Any) -> Test:
    """What the values of one field must be like."""
    path, test = name.split("."), on_field(said)
    return lambda document: test([*values_at(document, path)])


def on_field(said: Any) -> Test:
    """A test of all values that a field has, of which there are several where lists are on its path."""
    if not (isinstance(said, dict) and any(name.startswith("$") for name in said)):
        return some(equal_to(said))
    tests = [operator(name, value) for name, value in said.items()]
    return lambda found: all(test(found) for test in tests)


def operator(name: str, said: Any) -> Test:
    """One operator."""
    if name in NEGATIONS:
        inner = operator(NEGATIONS[name], said)
        return lambda found: not inner(found)
    if name == "$not":
        negated = on_field(said)
        return lambda found: not negated(found)
    if name == "$all":
        tests = [some(equal_to(one)) for one in said]
        return lambda found: bool(tests) and all(test(found) for test in tests)
    if name == "$exists":
        return lambda found: any(one is not MISSING for one in found) == said
    if name in WHOLE:
        test = WHOLE[name](said)
        return lambda found: any(test(one) for one in found)
    if name not in EACH:
        raise Invalid(f"'{name}' cannot be used to choose what a file holds")
    return some(EACH[name](said))


def some(test: Test) -> Test:
    """Whether a value, or an element of one that is a list, passes."""
    return lambda found: any(test(one) or (isinstance(one, list) and any(map(test, one))) for one in found)


def equal_to(said: Any) -> Test:
    """The same value; null is also what is not there."""
    if isinstance(said, Regex):
        raise Invalid("A regular expression cannot be used to choose what a file holds")
    if said is None:
        return lambda found: found is None or found is MISSING
    wanted = key(said)
    return lambda found: found is not MISSING and key(found) == wanted


def one_of(said: Any) -> Test:
    """One of several values."""
    tests = [equal_to(one) for one in said]
    return lambda found: any(test(found) for test in tests)


def ordered(passes: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    """A comparison by order, which only values of one kind have among them."""

    def compared(said: Any) -> Test:
        wanted = rank(said)
        return lambda found: (own := rank(found)) is not None and wanted is not None and kind_and(passes, own, wanted)

    return compared


def kind_and(passes: Callable[[Any, Any], bool], own: tuple[str, Any], wanted: tuple[str, Any]) -> bool:
    """Whether both are of one kind and in order."""
    return own[0] == wanted[0] and passes(own[1], wanted[1])


def rank(value: Any) -> tuple[str, Any] | None:
    """The kind of a value and its place among those; None for what has no order here."""
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int | float | Decimal128):
        number = number_of(value)
        return None if number.is_nan() else ("number", number)
    if isinstance(value, DatetimeMS | datetime):
        return "date", int(value) if isinstance(value, DatetimeMS) else value
    for kind in (str, ObjectId, bytes, Timestamp):
        if isinstance(value, kind):
            return kind.__name__, value
    return ("null", 0) if value is None or value is MISSING else None


def number_of(value: Any) -> Decimal:
    """A number as it is, whatever its type."""
    return value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)


def key(value: Any) -> Any:
    """What is the same for equal values: numbers are equal whatever their types."""
    if isinstance(value, int | float | Decimal128) and not isinstance(value, bool):
        return "number", number_text(number_of(value))
    return "value", digest(to_json({"": value}))


def typed(said: Any) -> Test:
    """A value of one of these types."""
    wanted = {said} if isinstance(said, str) else {*said}
    return lambda found: found is not MISSING and bool(wanted & names_of(found))


def names_of(value: Any) -> set[str]:
    """What the types of a value are called."""
    names = {*TYPES.get(type(value), next((n for kind, n in TYPES.items() if isinstance(value, kind)), ()))}
    if isinstance(value, int) and not isinstance(value, bool):
        names.discard("int" if type(value) is not int or value not in INT else "long")
    return names


def sized(said: int) -> Test:
    """A list of so many."""
    return lambda found: isinstance(found, list) and len(found) == said


def element(said: Any) -> Test:
    """A list of which one element is like that."""
    if any(name.startswith("$") and name not in ("$and", "$or", "$nor") for name in said):
        on_one = on_field(said)
        return lambda found: isinstance(found, list) and any(on_one([one]) for one in found)
    test = condition(said)
    return lambda found: isinstance(found, list) and any(isinstance(one, dict) and test(one) for one in found)


def remainder(said: Any) -> Test:
    """A number that leaves a remainder, which has the sign of the number."""
    divisor, left = said

    def passes(found: Any) -> bool:
        if isinstance(found, bool) or not isinstance(found, int | float | Decimal128):
            return False
        number = number_of(found)
        return number.is_finite() and abs(int(number)) % divisor * (1 if number > 0 else -1) == left

    return passes


NEGATIONS = {"$ne": "$eq", "$nin": "$in"}
WHOLE: Mapping[str, Callable[[Any], Test]] = {"$size": sized, "$elemMatch": element}
EACH: Mapping[str, Callable[[Any], Test]] = {
    "$eq": equal_to,
    "$in": one_of,
    "$gt": ordered(lambda own, wanted: own > wanted),
    "$gte": ordered(lambda own, wanted: own >= wanted),
    "$lt": ordered(lambda own, wanted: own < wanted),
    "$lte": ordered(lambda own, wanted: own <= wanted),
    "$type": typed,
    "$mod": remainder,
}


def values_at(value: Any, path: list[str]) -> Iterator[Any]:
    """The values of a field; MISSING where there is none. Lists are gone through, or a place in them is named."""
    if not path:
        yield value
    elif isinstance(value, dict):
        yield from values_at(value[path[0]], path[1:]) if path[0] in value else (MISSING,)
    elif isinstance(value, list):
        if len(path[0]) < 10 and path[0].isdecimal() and int(path[0]) < len(value):
            yield from values_at(value[int(path[0])], path[1:])
        inner = [one for each in value if isinstance(each, dict) for one in values_at(each, path)]
        yield from inner or (MISSING,)
    else:
        yield MISSING
