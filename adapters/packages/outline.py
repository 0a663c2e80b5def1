"""Finds out what a package document holds and where its rows stand, without keeping any of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from adapters.packages.json_reading import JsonReader
from domain.errors import Invalid
from domain.manifest import MOST_TABLES

LARGEST_DESCRIPTION = 64 << 20
Json = dict[str, Any]
MEMBERS = {"database_data": ("tables", "rows"), "document_data": ("collections", "documents")}


@dataclass(slots=True)
class TableOutline:
    """A table without its rows; they are at `offset` in the file, if there are any."""

    described: Json
    offset: int | None = None
    rows: int = 0


@dataclass(slots=True)
class Outline:
    """A document without rows. `around` is what stands beside `package_data`, where the document is wrapped in it."""

    package: Json = field(default_factory=dict)
    data: Json = field(default_factory=dict)
    data_key: str = ""
    tables: list[TableOutline] = field(default_factory=list)
    around: Json = field(default_factory=dict)
    described: int = 0
    wrapped: bool = False


def outlined(file: BinaryIO) -> Outline:
    """The outline of a document, or of a request that holds one; Invalid when it is no JSON or none that we know."""
    reader, outline = JsonReader(file), Outline()
    if reader.peek() != b"{":
        raise Invalid("The package must be a JSON object")
    read_members(reader, outline, outline.around, {"package_data": read_wrapped, **DATA})
    reader.finish()
    if not outline.data_key:
        raise Invalid("The package has neither database_data nor document_data")
    if not outline.wrapped:
        outline.package, outline.around = outline.around, {}
    return outline


def read_members(reader: JsonReader, outline: Outline, into: Json, special: "dict[str, Read]") -> None:
    """Reads an object; some members are not simply kept."""
    for key in reader.members():
        if key in special and reader.peek() != b"n":
            special[key](reader, outline, key)
        else:
            before = reader.offset
            into[key] = reader.value()
            outline.described += reader.offset - before
        if outline.described > LARGEST_DESCRIPTION:
            raise Invalid("The package says too much about itself")


Read = Callable[[JsonReader, Outline, str], None]


def read_wrapped(reader: JsonReader, outline: Outline, key: str) -> None:
    """A document inside a request; what stands beside it is said about the request."""
    outline.wrapped = True
    read_members(reader, outline, outline.package, DATA)


def read_data(reader: JsonReader, outline: Outline, key: str) -> None:
    """The data of a document."""
    if outline.data_key:
        raise Invalid("The package holds both database_data and document_data")
    outline.data_key = key
    read_members(reader, outline, outline.data, {MEMBERS[key][0]: read_tables})


def read_tables(reader: JsonReader, outline: Outline, key: str) -> None:
    """Tables or collections."""
    for number in reader.elements():
        if number >= MOST_TABLES:
            raise Invalid(f"The package holds more than {MOST_TABLES} tables")
        outline.tables.append(table := TableOutline({}))
        read_members(reader, outline, table.described, {MEMBERS[outline.data_key][1]: read_rows})


def read_rows(reader: JsonReader, outline: Outline, key: str) -> None:
    """Rows, of which only the place is kept."""
    reader.peek()
    outline.tables[-1].offset = reader.offset
    outline.tables[-1].rows = reader.pass_over_rows()


DATA: "dict[str, Read]" = {"database_data": read_data, "document_data": read_data}
