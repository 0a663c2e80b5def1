"""Masks values of rows: the same text becomes the same mask under one key, and still fits its column."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import orjson

from adapters.databases.mongodb.masking import TEXTS, bytes_of, number
from application.ports.databases import Lines, Mask
from domain.dataset import Column
from domain.errors import Invalid

METHODS = {"null", "hash", "fake", "keep-format"}
WORDS = re.compile(r"text|citext|(character varying|character)(\(\d+\))?")
NUMBERS = re.compile(r"smallint|integer|bigint|real|double precision|numeric(\(.*\))?")
MOMENTS = re.compile(r"date|timestamp(\(\d\))? with(out)? time zone")
FIRST_DAY, MOST_DAYS = date(1971, 1, 1), 20_000
Masked = Callable[[str], str | None]


def masks_of(columns: Sequence[Column], masks: Mapping[str, Mask]) -> list[tuple[int, Masked]]:
    """What to do at which places of a row; Invalid names a column whose values cannot be made up."""
    return [(place, masked_by(c, masks[c.name])) for place, c in enumerate(columns) if c.name in masks]


def masked_by(column: Column, mask: Mask) -> Masked:
    """What becomes of a column's values."""
    if mask.method not in METHODS:
        raise Invalid(f"'{mask.method[:50]}' is no way to mask a value")
    if mask.method == "null":
        if not column.is_nullable:
            raise Invalid(f"The column '{column.name}' takes no null, and cannot be masked with it")
        return lambda text: None
    made = making(column, mask.method)
    return lambda text: made(text, bytes_of(mask.key, text))


def making(column: Column, method: str) -> Callable[[str, bytes], str]:
    """Another value of the column's type, out of one and some bytes."""
    if WORDS.fullmatch(column.data_type):
        return lambda text, stream: TEXTS[method](text, stream)[: column.max_length]
    if NUMBERS.fullmatch(column.data_type):
        return number
    if MOMENTS.fullmatch(column.data_type):
        return lambda text, stream: day(stream)
    if column.data_type == "bytea":
        return lambda text, stream: "\\x" + (stream.hex() * (len(text) // 64 + 1))[: len(text) - 2]
    if column.data_type == "uuid":
        return lambda text, stream: stream.hex()[:32]
    raise Invalid(f"The values of '{column.name}', which are {column.data_type[:50]}, can only be masked with null")


def day(stream: bytes) -> str:
    """Some day."""
    return (FIRST_DAY + timedelta(days=int.from_bytes(stream[:4]) % MOST_DAYS)).isoformat()


def hidden(lines: Lines, masks: Sequence[tuple[int, Masked]]) -> Lines:
    """Rows with masks in the places of some values; nothing stays nothing."""
    return [masked(line, masks) for line in lines] if masks else lines


def masked(line: bytes, masks: Sequence[tuple[int, Masked]]) -> bytes:
    """One row."""
    values = orjson.loads(line)
    for place, mask in masks:
        if values[place] is not None:
            values[place] = mask(values[place])
    return orjson.dumps(values)
