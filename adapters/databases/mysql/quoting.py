"""Names, texts and clauses as MySQL reads them, and each value as a text that says all of it."""

import re
from collections.abc import Iterable, Sequence

from adapters.databases.where.writing import Name, Pieces, Text
from domain.dataset import Column
from domain.errors import Invalid

ESCAPES = str.maketrans({"\0": "\\0", "\n": "\\n", "\r": "\\r", "\\": "\\\\", "'": "\\'", '"': '\\"', "\x1a": "\\Z"})
BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"})
SHAPES = frozenset({"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"}) | {
    "geometrycollection",
    "geomcollection",
}
WORDS = frozenset({"tinytext", "text", "mediumtext", "longtext", "char", "varchar"})
HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
SHAPE = re.compile(r"[0-9]{1,10};(?:[0-9A-Fa-f]{2})+")
# Of longer texts an index holds this much.
INDEXED = 64


def name(text: str) -> str:
    """A name of the catalog's."""
    return "`" + text.replace("`", "``") + "`"


def names(texts: Iterable[str]) -> str:
    """Names with commas between them."""
    return ", ".join(map(name, texts))


def literal(text: str) -> str:
    """A text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid("A text holds half a character") from None
    return "'" + text.translate(ESCAPES) + "'"


def clause(pieces: Pieces, alias: str) -> str:
    """A where clause on the columns of an alias."""
    return "".join([piece_of(piece, alias) for piece in pieces])


def piece_of(piece: str | Text | Name, alias: str) -> str:
    """One piece: only our own words go in unquoted."""
    if isinstance(piece, Name):
        return f"{alias}.{name(piece.column)}"
    return literal(piece.value) if isinstance(piece, Text) else piece


def family(column: Column) -> str:
    """The first word of the type."""
    found = re.match(r"[a-z0-9]+", column.data_type.lower())
    return found[0] if found else ""


def as_text(column: Column, value: str) -> str:
    """A value in SQL as a text that says all of it."""
    kind = family(column)
    if kind in BYTES:
        return f"hex({value})"
    if kind in SHAPES:
        return f"concat(st_srid({value}), ';', hex(st_aswkb({value})))"
    if kind == "bit" or "zerofill" in column.data_type:
        return f"cast({value} + 0 as char)"
    if kind == "float":
        return f"cast(cast({value} as double) as char)"
    return f"cast({value} as char)"


def is_bytes(column: Column) -> bool:
    """Whether the driver gives the bytes as they are; as text in SQL they would have to fit a packet twice."""
    return family(column) in BYTES - {"vector"}


def from_text(column: Column, text: str) -> str:
    """The value in SQL that such a text in SQL means, where it is assigned to such a column."""
    kind = family(column)
    if kind in BYTES:
        return f"unhex({text})"
    if kind in SHAPES:
        return f"st_geomfromwkb(unhex(substring_index({text}, ';', -1)), substring_index({text}, ';', 1))"
    return f"cast({text} as unsigned)" if kind == "bit" else text


def written(column: Column, text: str) -> str:
    """A packaged text as the literal of such a column; Invalid when it cannot be one."""
    kind = family(column)
    if kind in BYTES and HEX.fullmatch(text):
        return f"x'{text}'"
    if kind in SHAPES and SHAPE.fullmatch(text):
        number, _, value = text.partition(";")
        return f"st_geomfromwkb(x'{value}', {number})"
    if kind == "bit" and text.isascii() and text.isdigit() and len(text) <= 20:
        return text
    if kind in BYTES or kind in SHAPES or kind == "bit":
        raise Invalid(f"A value of '{column.name}' is not written as {kind} is")
    return "'" + text.translate(ESCAPES) + "'"


def row_text(columns: Sequence[Column], values: Sequence[str]) -> str:
    """Values in SQL as one JSON array of texts."""
    texts = [as_text(column, value) for column, value in zip(columns, values, strict=True)]
    return f"json_array({', '.join(texts)})"


def digest(columns: Sequence[Column], values: Sequence[str]) -> str:
    """What values in SQL hold, in short."""
    return f"unhex(md5({row_text(columns, values)}))"


def member(array: str, place: int) -> str:
    """A text or NULL out of a JSON array in SQL."""
    found = f"json_extract({array}, '$[{place}]')"
    return f"if(json_type({found}) = 'NULL', null, json_unquote({found}))"


def key_shown(array: str) -> str:
    """A key, kept as a JSON array in SQL, as users read it: that of one column as it is, of several as JSON."""
    return f"if(json_length({array}) = 1, coalesce({member(array, 0)}, {array}), {array})"


def columns_of(alias: str, columns: Iterable[Column]) -> list[str]:
    """Columns of an alias."""
    return [f"{alias}.{name(column.name)}" for column in columns]


def indexed(column: Column, called: str) -> str:
    """A column in an index, which has no room for long texts."""
    kind = family(column)
    is_long = column.max_length is None or column.max_length > INDEXED
    return f"{called}({INDEXED})" if kind in BYTES | WORDS and is_long else called


def hashed(texts: list[str]) -> str:
    """Texts in short."""
    return f"unhex(md5(json_array({', '.join(texts)})))"
