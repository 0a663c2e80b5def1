"""Filters of documents: JSON objects that somebody sent, of operators on a list, with values as Extended JSON v2."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bson
import orjson

from adapters.databases.mongodb.extended import UNREADABLE, WRAPPERS, from_extended, is_wrapped
from domain.errors import Invalid

MOST_BYTES = 100_000
MOST_DEPTH = 20
MOST_PARTS = 10_000
LONGEST_PATTERN = 1000
OPTIONS = frozenset("imsx")
LISTS = frozenset({"$and", "$or", "$nor"})
COMPARISONS = frozenset({"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"})
MEMBERS = frozenset({"$in", "$nin", "$all"})
BITS = frozenset({"$bitsAllClear", "$bitsAllSet", "$bitsAnyClear", "$bitsAnySet"})
VALUES = WRAPPERS - {"$code", "$scope", "$dbPointer", "$undefined", "$symbol"}
TYPES = frozenset(
    {
        "double", "string", "object", "array", "binData", "objectId", "bool", "date", "null", "regex", "int",
        "timestamp", "long", "decimal", "minKey", "maxKey", "number",
    }
)  # fmt: skip
Read = Callable[["Filter", Any, str, int], Any]


def parse_filter(said: Any, collection: str) -> dict[str, Any]:
    """The filter as a server takes it; Invalid points at what is not understood."""
    return Filter(collection).parse(said)


class Filter:
    """Reads one filter; `collection` is named in what is told."""

    def __init__(self, collection: str) -> None:
        self.collection = collection
        self.parts = 0

    def parse(self, said: Any) -> dict[str, Any]:
        """The whole of it."""
        if not isinstance(said, Mapping):
            raise self.wrong("it must be a JSON object", "")
        try:
            text = orjson.dumps(said)
        except (TypeError, ValueError):
            raise self.wrong("it is not JSON, or holds a number that is too large", "") from None
        if len(text) > MOST_BYTES:
            raise self.wrong(f"it is longer than {MOST_BYTES} bytes", "")
        return self.condition(said, "", 0)

    def wrong(self, what: str, path: str) -> Invalid:
        """What is to be raised."""
        return Invalid(f"where_clause of '{self.collection[:255]}': {what}{f' (at {path[:300]})' if path else ''}")

    def count(self, path: str, depth: int) -> None:
        """Refuses what is too deep or has too many parts."""
        self.parts += 1
        if depth > MOST_DEPTH or self.parts > MOST_PARTS:
            raise self.wrong(f"more than {MOST_DEPTH} levels or {MOST_PARTS} parts", path)

    def condition(self, said: Any, path: str, depth: int) -> dict[str, Any]:
        """What documents must be like."""
        self.count(path, depth)
        if not isinstance(said, Mapping):
            raise self.wrong("a condition must be an object", path)
        found: dict[str, Any] = {}
        for name, value in said.items():
            here = f"{path}.{name}" if path else name
            if name in LISTS:
                several = enumerate(self.several(value, name, here))
                found[name] = [self.condition(one, f"{here}[{number}]", depth + 1) for number, one in several]
            elif name.startswith("$"):
                raise self.wrong(f"'{name[:100]}' is not an operator that a filter may use there", here)
            else:
                found[name] = self.field(name, value, here, depth + 1)
        return found

    def field(self, name: str, value: Any, path: str, depth: int) -> Any:
        """What one field must be like: equal to a value, or as operators say."""
        if not name or "\0" in name or any(not part or part.startswith("$") for part in name.split(".")):
            raise self.wrong(f"{name[:100]!r} cannot be the name of a field", path)
        return self.operators(value, path, depth) if has_operators(value) else self.value(value, path, depth)

    def operators(self, said: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        """Operators on a field."""
        self.count(path, depth)
        found = {}
        for name, value in said.items():
            here = f"{path}.{name}"
            if (read := OPERATORS.get(name)) is None:
                raise self.wrong(f"'{name[:100]}' is not an operator that a filter may use there", here)
            found[name] = read(self, value, here, depth + 1)
        if "$options" in said and "$regex" not in said:
            raise self.wrong("'$options' needs '$regex' beside it", path)
        return found

    def several(self, said: Any, name: str, path: str) -> Sequence[Any]:
        """A list that is not empty."""
        if not isinstance(said, list) or not said:
            raise self.wrong(f"'{name}' needs a list that is not empty", path)
        return said

    def value(self, said: Any, path: str, depth: int) -> Any:
        """A value to compare with; operators have no place in it."""
        self.count(path, depth)
        if isinstance(said, list):
            return [self.value(one, f"{path}[{number}]", depth + 1) for number, one in enumerate(said)]
        if isinstance(said, Mapping):
            return self.wrapped(said, path) if is_wrapped(said) else self.embedded(said, path, depth)
        if isinstance(said, int) and not isinstance(said, bool) and not -(2**63) <= said < 2**63:
            raise self.wrong("a whole number is too large", path)
        return said

    def embedded(self, said: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        """A document to compare with."""
        for name in said:
            if name.startswith("$") or "\0" in name:
                raise self.wrong(f"'{name[:100]}' has no place in a value", f"{path}.{name}")
        return {name: self.value(one, f"{path}.{name}", depth + 1) for name, one in said.items()}

    def wrapped(self, said: Mapping[str, Any], path: str) -> Any:
        """A value of a type that JSON lacks."""
        if not set(said) <= VALUES:
            raise self.wrong(f"'{min(set(said) - VALUES)[:100]}' has no place in a value", path)
        if "$regularExpression" in said:
            inner = said["$regularExpression"]
            self.pattern(inner.get("pattern") if isinstance(inner, Mapping) else None, path, 0)
        try:
            found = from_extended(orjson.dumps(said))
            bson.encode({"": found})
        except UNREADABLE:
            raise self.wrong(f"'{min(said)[:100]}' is not written as Extended JSON has it", path) from None
        return found

    def pattern(self, said: Any, path: str, depth: int) -> str:
        """A regular expression."""
        if not isinstance(said, str) or len(said) > LONGEST_PATTERN or "\0" in said:
            raise self.wrong(f"a regular expression must be a text of at most {LONGEST_PATTERN} characters", path)
        return said

    def options(self, said: Any, path: str, depth: int) -> str:
        """How a regular expression is meant."""
        if not isinstance(said, str) or not set(said) <= OPTIONS:
            raise self.wrong(f"'$options' may hold {', '.join(sorted(OPTIONS))}", path)
        return said

    def values(self, said: Any, path: str, depth: int) -> Any:
        """A list of values."""
        if not isinstance(said, list):
            raise self.wrong("this operator needs a list", path)
        return self.value(said, path, depth)

    def truth(self, said: Any, path: str, depth: int) -> bool:
        """True or false."""
        if not isinstance(said, bool):
            raise self.wrong("this operator needs true or false", path)
        return said

    def size(self, said: Any, path: str, depth: int) -> int:
        """How many values."""
        if not is_whole(said):
            raise self.wrong("'$size' needs a whole number", path)
        return int(said)

    def modulus(self, said: Any, path: str, depth: int) -> Any:
        """A divisor and what remains."""
        if not isinstance(said, list) or len(said) != 2 or not all(map(is_whole, said)) or not said[0]:
            raise self.wrong("'$mod' needs a divisor and a remainder", path)
        return said

    def bits(self, said: Any, path: str, depth: int) -> Any:
        """Which bits: a mask, or their places."""
        if not all(map(is_whole, said if isinstance(said, list) else [said])):
            raise self.wrong("this operator needs whole numbers", path)
        return said

    def types(self, said: Any, path: str, depth: int) -> Any:
        """Names of types."""
        names = said if isinstance(said, list) else [said]
        if not names or not all(isinstance(one, str) and one in TYPES for one in names):
            raise self.wrong("'$type' needs the name of a type", path)
        return said

    def negated(self, said: Any, path: str, depth: int) -> Any:
        """What a field must not be like."""
        if has_operators(said):
            return self.operators(said, path, depth)
        if isinstance(said, Mapping) and "$regularExpression" in said:
            return self.wrapped(said, path)
        raise self.wrong("'$not' needs an operator or a regular expression", path)

    def element(self, said: Any, path: str, depth: int) -> Any:
        """What one element of a list must be like."""
        if has_operators(said) and not LISTS & set(said):
            return self.operators(said, path, depth)
        return self.condition(said, path, depth)


OPERATORS: Mapping[str, Read] = {
    **dict.fromkeys(COMPARISONS, Filter.value),
    **dict.fromkeys(MEMBERS, Filter.values),
    **dict.fromkeys(BITS, Filter.bits),
    "$exists": Filter.truth,
    "$type": Filter.types,
    "$not": Filter.negated,
    "$elemMatch": Filter.element,
    "$size": Filter.size,
    "$mod": Filter.modulus,
    "$regex": Filter.pattern,
    "$options": Filter.options,
}


def has_operators(said: Any) -> bool:
    """Whether an object holds operators, as opposed to a value to compare with."""
    return isinstance(said, Mapping) and not is_wrapped(said) and any(name.startswith("$") for name in said)


def is_whole(said: Any) -> bool:
    """A whole number, not below zero, that every server takes in such a place."""
    return isinstance(said, int) and not isinstance(said, bool) and 0 <= said < 2**31
