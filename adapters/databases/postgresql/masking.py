"""Masks values of rows: the same text becomes the same mask under one key, and still fits its column."""

import re
from collections.abc import Mapping, Sequence

import orjson

from adapters.databases.masking import TEXTS, Making, Masked, day, masked_by, number
from application.ports.databases import Lines, Mask
from domain.dataset import Column
from domain.errors import Invalid

WORDS = re.compile(r"text|citext|(character varying|character)(\(\d+\))?")
NUMBERS = re.compile(r"smallint|integer|bigint|real|double precision|numeric(\(.*\))?")
MOMENTS = re.compile(r"date|timestamp(\(\d\))? with(out)? time zone")


def masks_of(columns: Sequence[Column], masks: Mapping[str, Mask]) -> list[tuple[int, Masked]]:
    """What to do at which places of a row; Invalid names a column whose values cannot be made up."""
    return [(place, masked_by(c, masks[c.name], making)) for place, c in enumerate(columns) if c.name in masks]


def making(column: Column, method: str) -> Making:
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
