"""The kinds of values that bodies and queries hold: texts, moments, flags, filters."""

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from domain.reference import LONGEST

RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# What else stands for a boolean, as the original takes it.
WORDS_FOR = ["true", "false", "True", "False", "1", "0", "t", "f", "y", "n", "yes", "no", "on", "off", 0, 1]


def rfc_3339(value: Any) -> Any:
    """A moment as RFC 3339 writes it: numbers and half dates are none."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise PydanticCustomError("datetime_parsing", "Input should be a time in RFC 3339 with an offset")
    return value


def number(value: Any) -> Any:
    """A number, as JSON writes numbers."""
    if isinstance(value, bool | str):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Text = Annotated[str, StringConstraints(max_length=100_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
Moment = Annotated[AwareDatetime, BeforeValidator(rfc_3339)]
FLAG: dict[str, Any] = {"anyOf": [{"type": "boolean"}, {"enum": WORDS_FOR}]}
Flag = Annotated[bool, WithJsonSchema(FLAG)]
Fence = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(number)]
PAST = {
    "maxLength": LONGEST,
    "anyOf": [
        {"type": "string", "pattern": "^[0-9]+$", "description": "A position"},
        {"type": "string", "format": "date-time", "description": "A moment"},
        {"type": "string", "pattern": "^-[0-9]{1,7}[smhdw]$", "description": "So long ago"},
        {"type": "string", "pattern": "^.+(@\\{.+\\}|~[0-9]+|#[0-9]+)$", "description": "NAME@{...}, NAME~3, NAME#412"},
    ],
}
Past = Annotated[str, StringConstraints(max_length=LONGEST), WithJsonSchema(PAST)]


def no_filter(value: Any) -> Any:
    """An empty text filter means no filter."""
    return None if value == "" else value


def or_nothing(**schema: Any) -> WithJsonSchema:
    """How the document tells that a filter may be empty."""
    return WithJsonSchema({"anyOf": [schema, {"enum": [""]}, {"type": "null"}]})


def or_empty(kind: type[StrEnum]) -> WithJsonSchema:
    """How the document tells that a filter by one of several words may be empty."""
    return WithJsonSchema({"anyOf": [{"enum": [*map(str, kind), ""]}, {"type": "null"}]})


def or_several(kind: type[StrEnum]) -> WithJsonSchema:
    """How the document tells that a filter takes several words, apart or with commas between them."""
    words = "|".join(kind)
    together = {"type": "string", "pattern": f"^({words})?(,({words})?)*$"}
    items = {"anyOf": [{"enum": [*map(str, kind)]}, together]}
    return WithJsonSchema({"anyOf": [{"type": "array", "items": items}, {"type": "null"}]})


def several(value: Any) -> Any:
    """Several values may come apart or with commas between them."""
    if isinstance(value, list):
        value = [part for item in value for part in item.split(",") if part]
    return value or None


OptionalText = Annotated[str | None, BeforeValidator(no_filter)]


class Lenient(BaseModel):
    """Unknown members are ignored, as the original ignores them."""

    model_config = ConfigDict(extra="ignore")


class AsOf(Lenient):
    """What a list or a detail can always be asked: how it was at a position or a moment of the past."""

    as_of: Past | None = None
