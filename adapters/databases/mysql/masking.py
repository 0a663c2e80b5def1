"""Masks values of rows: the same text becomes the same mask under one key, and still fits its column."""

from collections.abc import Mapping, Sequence

from adapters.databases.masking import TEXTS, Making, Masked, day, masked_by, number
from adapters.databases.mysql.quoting import BYTES, WORDS, family
from application.ports.databases import Mask
from domain.dataset import Column
from domain.errors import Invalid

NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double"})
MOMENTS = frozenset({"date", "datetime", "timestamp"})


def masks_of(columns: Sequence[Column], masks: Mapping[str, Mask]) -> list[tuple[int, Masked]]:
    """What to do at which places of a row; Invalid names a column whose values cannot be made up."""
    return [(place, masked_by(c, masks[c.name], making)) for place, c in enumerate(columns) if c.name in masks]


def making(column: Column, method: str) -> Making:
    """Another value of the column's type, out of one and some bytes."""
    kind = family(column)
    if kind in WORDS:
        return lambda text, stream: TEXTS[method](text, stream)[: column.max_length]
    if kind in NUMBERS:
        return number
    if kind in BYTES:
        return lambda text, stream: (stream.hex() * (len(text) // 64 + 1))[: len(text)].upper()
    if kind in MOMENTS:
        return lambda text, stream: day(stream) + ("" if kind == "date" else " 00:00:00")
    if kind == "uuid":
        return lambda text, stream: stream.hex()[:32]
    raise Invalid(f"The values of '{column.name}', which are {column.data_type[:50]}, can only be masked with null")
