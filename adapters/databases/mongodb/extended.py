"""Documents as canonical Extended JSON v2, where each value says its type: how they are read, written and told apart.

Everything here but the two ends is plain JSON, so that values are the same when their texts are.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation, localcontext
from hashlib import sha256
from typing import Any

import orjson
from bson import json_util
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from domain.errors import Invalid

Json = dict[str, Any]
CODEC: CodecOptions[Any] = CodecOptions(
    uuid_representation=UuidRepresentation.UNSPECIFIED, datetime_conversion=DatetimeConversion.DATETIME_MS
)
OPTIONS = json_util.JSONOptions(
    json_mode=json_util.JSONMode.CANONICAL,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_MS,
)
WRAPPERS = frozenset(
    {
        "$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$binary", "$uuid",
        "$regularExpression", "$timestamp", "$minKey", "$maxKey", "$code", "$scope", "$dbPointer", "$undefined",
        "$symbol",
    }
)  # fmt: skip
NUMBERS = ("$numberInt", "$numberLong", "$numberDouble", "$numberDecimal")
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, BSONError, RecursionError)
DIGITS = 50
# What canonical Extended JSON never has outside of texts: bare numbers, dates and ids in other forms.
LOOSE = re.compile(rb'[:\[,]\s*-?[0-9]|"\$date":\s*"|"\$uuid"|"\$regex"')
UUID_SUBTYPES = ("03", "04")


def is_wrapped(value: Any) -> bool:
    """Whether an object is a value of a type that JSON lacks."""
    return isinstance(value, Mapping) and bool(value) and next(iter(value)) in WRAPPERS


def is_embedded(value: Any) -> bool:
    """Whether a value is a document in a document that has fields of its own."""
    return isinstance(value, Mapping) and bool(value) and not any(name.startswith("$") for name in value)


def is_ambiguous(document: Any) -> bool:
    """Whether a document of a server's has a field that, once written down, would be taken for the type of a value."""
    if isinstance(document, dict):
        return not WRAPPERS.isdisjoint(document) or any(map(is_ambiguous, document.values()))
    return isinstance(document, list) and any(map(is_ambiguous, document))


def from_extended(text: bytes) -> Any:
    """What a text of Extended JSON means for a server."""
    return json_util.loads(text, json_options=OPTIONS)


def to_line(document: Mapping[str, Any]) -> bytes:
    """A document of a server's as a line."""
    text = json_util.dumps(document, json_options=OPTIONS, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def to_json(document: Mapping[str, Any]) -> Json:
    """A document of a server's as JSON."""
    found: Json = orjson.loads(to_line(document))
    return found


def to_bson(value: Any) -> Any:
    """What JSON of ours means for a server; Invalid when it is not Extended JSON."""
    try:
        return from_extended(orjson.dumps(value))
    except UNREADABLE:
        raise Invalid("A value is not written as Extended JSON has it") from None


def read_line(line: bytes, collection: str) -> Json:
    """The document on a line of a package."""
    try:
        found = orjson.loads(to_line(from_extended(line)) if LOOSE.search(line) else line)
    except UNREADABLE:
        raise Invalid(f"A document of {collection} is not Extended JSON") from None
    if not isinstance(found, dict) or "_id" not in found:
        raise Invalid(f"A document of {collection} has no _id")
    return found


def key_of(value: Any) -> str:
    """What tells ids apart as servers do: numbers by their value, whatever their type."""
    if is_wrapped(value):
        name = next(iter(value))
        if name in NUMBERS:
            return f"n:{number_text(value[name])}"
    return orjson.dumps(value).decode()


def number_text(text: Any) -> str:
    """A number in its one shortest form."""
    try:
        with localcontext(prec=DIGITS):
            number = Decimal(text)
            return str(number.normalize() + 0) if number.is_finite() else str(number)
    except (InvalidOperation, TypeError, ValueError):
        return str(text)


def shown(value: Any) -> str:
    """An id as people write it."""
    if isinstance(value, str):
        return value
    if is_wrapped(value):
        name, inner = next(iter(value.items()))
        if name == "$oid" or name in NUMBERS:
            return str(inner)
        if name == "$binary" and isinstance(inner, Mapping) and inner.get("subType") in UUID_SUBTYPES:
            found = to_bson(value)
            return bytes(found).hex()
    return orjson.dumps(value).decode()


def type_of(value: Any) -> str:
    """What kind of id a value is, in the words of servers."""
    if is_wrapped(value):
        name, inner = next(iter(value.items()))
        if name == "$binary" and isinstance(inner, Mapping) and inner.get("subType") in UUID_SUBTYPES:
            return "uuid"
        return "number" if name in NUMBERS else name.removeprefix("$").replace("oid", "objectid")
    return "string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else type(value).__name__


def digest(value: Any) -> str:
    """What a value is, in short; the order of fields of documents does not matter."""
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def value_at(document: Any, path: tuple[str, ...]) -> Any:
    """The one value of a nested field; None where there is none, or where it is in a list or is one."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return None if isinstance(document, list) else document


def values_at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The values of a nested field, through lists."""
    if isinstance(value, list):
        for one in value:
            yield from values_at(one, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:])


def leaves(value: Any, path: str = "", through: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """Every value that holds no others, with its path, and whether it is in a list."""
    if isinstance(value, list):
        for one in value:
            yield from leaves(one, path, True)
    elif isinstance(value, dict) and not is_wrapped(value):
        for name, one in value.items():
            yield from leaves(one, f"{path}.{name}" if path else name, through)
    else:
        yield path, value, through


def changed_at(value: Any, path: tuple[str, ...], change: Any) -> Any:
    """The same with `change` made to the values of a nested field, through lists."""
    if isinstance(value, list):
        return [changed_at(one, path, change) for one in value]
    if not path:
        return change(value)
    if isinstance(value, dict) and path[0] in value and not is_wrapped(value):
        return {**value, path[0]: changed_at(value[path[0]], path[1:], change)}
    return value


def without(value: Any, path: tuple[str, ...]) -> Any:
    """The same without a nested field, through lists."""
    if isinstance(value, list):
        return [without(one, path) for one in value]
    if not isinstance(value, dict) or path[0] not in value or is_wrapped(value):
        return value
    if len(path) == 1:
        return {name: one for name, one in value.items() if name != path[0]}
    return {**value, path[0]: without(value[path[0]], path[1:])}
