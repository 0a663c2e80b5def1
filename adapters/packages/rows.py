"""Rows as lines of a part, and as the objects that a package document has: the same values, both ways."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from adapters.packages.plain_rows import PlainRows
from application.ports.databases import Lines
from domain.dataset import Column, DatabaseKind, Table
from domain.errors import Invalid

WHOLE = re.compile(
    r"(tiny|small|medium|big)?(int|integer|serial)[248]?(\(\d+\))?( unsigned)?( zerofill)?", re.IGNORECASE
)
WRITTEN = re.compile(r"0|-?[1-9][0-9]*").fullmatch
TRUTH: Mapping[str, bool] = {"true": True, "false": False}
# Every reader of JSON keeps integers of up to 53 bits; longer ones are safe as texts only.
LONGEST_WHOLE = 15
Convert = Callable[[Any], Any]


def to_whole(text: Any) -> Any:
    """An integer, when the text is how one is written."""
    if isinstance(text, str) and len(text) <= LONGEST_WHOLE and WRITTEN(text):
        return int(text)
    return text


def to_truth(text: Any) -> Any:
    """True or false, when the text says so."""
    return TRUTH.get(text, text) if isinstance(text, str) else text


def conversion(column: Column) -> Convert | None:
    """What makes a value more natural in a document, without losing anything."""
    if WHOLE.fullmatch(column.data_type):
        return to_whole
    return to_truth if column.data_type.lower() in ("boolean", "bool") else None


class Rows:
    """Turns lines of one table into the objects of a document. `sha256` is that of the lines that they turn into when
    they are read again."""

    def __init__(self, kind: DatabaseKind, table: Table) -> None:
        self.sha256 = hashlib.sha256()
        self.names = [column.name for column in table.packed_columns]
        found = enumerate(map(conversion, table.packed_columns))
        self.conversions = [(place, convert) for place, convert in found if convert]
        wholes, truths = ([p for p, convert in self.conversions if convert is one] for one in (to_whole, to_truth))
        self.plain = PlainRows(self.names, wholes, truths, LONGEST_WHOLE)
        self.written = self.documents if kind is DatabaseKind.MONGODB else self.objects

    def objects(self, lines: Lines) -> bytes:
        """Rows as JSON, with commas between them."""
        if plain := self.plain.objects(lines):
            self.sha256.update(b"\n".join([*lines, b""]))
            return plain
        rows = self.counted(lines)
        for place, convert in self.conversions:
            for row in rows:
                row[place] = convert(row[place])
        return orjson.dumps([dict(zip(self.names, row, strict=True)) for row in rows])[1:-1]

    def documents(self, lines: Lines) -> bytes:
        """Documents as they are, with commas between them."""
        self.counted(lines)
        return b",".join(lines)

    def counted(self, lines: Lines) -> list[Any]:
        """The rows that the lines hold. Lines are taken together, which is twice as fast as one by one."""
        text = b"[" + b",".join(lines) + b"]"
        rows: list[Any] = orjson.loads(text)
        if orjson.dumps(rows) != text:
            lines = [orjson.dumps(row) for row in rows]
        self.sha256.update(b"\n".join([*lines, b""]))
        return rows

    def loaded(self, lines: Lines) -> list[Any]:
        """A few rows, as an answer shows them."""
        found: list[Any] = orjson.loads(b"[" + self.written(lines) + b"]")
        return found


class Values:
    """Turns the objects of a document into lines of one table."""

    def __init__(self, kind: DatabaseKind, name: str, columns: tuple[Column, ...]) -> None:
        self.name = name
        self.columns = [column.name for column in columns if not column.is_generated]
        self.truths = ("1", "0") if kind is DatabaseKind.MYSQL else ("true", "false")
        self.line = self.document if kind is DatabaseKind.MONGODB else self.row
        self.count = 0

    def lines(self, texts: Lines) -> Lines:
        """Each text of JSON as a line."""
        # Every small text that orjson makes keeps a kilobyte; taken apart again they are as long as they are.
        together = bytearray()
        for text in texts:
            together += self.line(text)
            together += b"\n"
        return bytes(together[:-1]).split(b"\n")

    def row(self, text: bytes) -> bytes:
        """The values in the order of the columns, each a text or null."""
        self.count += 1
        value = self.object(text)
        try:
            found = [value[name] for name in self.columns]
        except KeyError as missing:
            raise Invalid(f"{self.place} lacks the column '{str(missing.args[0])[:100]}'") from None
        if len(value) != len(found):
            other = next(name for name in value if name not in self.columns)
            raise Invalid(f"{self.place} has '{other[:100]}', which is not one of its columns")
        if any(isinstance(one, float) for one in found):
            exact = json.loads(text, parse_float=str, parse_int=str)
            found = [exact[name] if isinstance(value[name], float) else value[name] for name in self.columns]
        return orjson.dumps([text_of(one, self.truths) for one in found])

    def document(self, text: bytes) -> bytes:
        """The document on one line."""
        self.count += 1
        return orjson.dumps(self.object(text))

    def object(self, text: bytes) -> dict[str, Any]:
        """What a text of JSON holds, which must be an object."""
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as problem:
            raise Invalid(f"{self.place} is not JSON: {problem.msg}") from None
        if not isinstance(value, dict):
            raise Invalid(f"{self.place} is not an object")
        return value

    @property
    def place(self) -> str:
        """Which row it is."""
        return f"Row {self.count} of '{self.name[:100]}'"


def text_of(value: Any, truths: tuple[str, str] = ("true", "false")) -> str | None:
    """A value as parts have it: what is no text becomes the text that a database reads."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return truths[0] if value else truths[1]
    return str(value) if isinstance(value, int | float) else orjson.dumps(value).decode()
