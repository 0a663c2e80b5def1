"""Masks values of rows: the same text becomes the same mask under one key, and still fits its column."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

from adapters.databases.mongodb.masking import TEXTS, bytes_of, number
from adapters.databases.mysql.quoting import BYTES, WORDS, family
from application.ports.databases import Mask
from domain.dataset import Column
from domain.errors import Invalid

NUMBERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double"})
MOMENTS = frozenset({"date", "datetime", "timestamp"})
FIRST_DAY, MOST_DAYS = date(1971, 1, 1), 20_000
HIDDEN = {"null", "hash", "fake", "keep-format"}
Masked = Callable[[str], str | None]


def masks_of(columns: Sequence[Column], masks: Mapping[str, Mask]) -> list[tuple[int, Masked]]:
    """What to do at which places of a row; Invalid names a column whose values cannot be made up."""
    return [
        (place, masked_by(column, masks[column.name])) for place, column in enumerate(columns) if column.name in masks
    ]


def masked_by(column: Column, mask: Mask) -> Masked:
    """What becomes of a column's values."""
    if mask.method not in HIDDEN:
        raise Invalid(f"'{mask.method[:50]}' is no way to mask a value")
    if mask.method == "null":
        if not column.is_nullable:
            raise Invalid(f"The column '{column.name}' takes no null, and cannot be masked with it")
        return lambda text: None
    made = making(column, mask.method)
    return lambda text: made(text, bytes_of(mask.key, text))


def making(column: Column, method: str) -> Callable[[str, bytes], str]:
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


def day(stream: bytes) -> str:
    """Some day."""
    return (FIRST_DAY + timedelta(days=int.from_bytes(stream[:4]) % MOST_DAYS)).isoformat()
