"""Prints answers: JSON for programs, plain columns for pipes, tables for people at a terminal."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.table import Table

# What could steer a terminal or turn its text around: values come from other people.
STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
STYLES = {
    "scheduled": "cyan",
    "in_progress": "yellow",
    "deployed": "green",
    "failed": "red",
    "rolled_back": "magenta",
    "skipped": "dim",
    "cancelled": "dim",
}

Rows = Sequence[Sequence[str]]


def print_json(value: Any) -> None:
    """One JSON document, in ASCII so that it survives any locale."""
    print(json.dumps(value, indent=2))


def print_json_line(value: Any, stream: TextIO | None = None) -> None:
    """One JSON document on one line, at once also through a pipe."""
    print(json.dumps(value, separators=(",", ":")), file=stream or sys.stdout, flush=True)


def note(text: str) -> None:
    """Something for people that must not mix with the answer."""
    print(text, file=sys.stderr)


def safe(text: str) -> str:
    """The text with what could steer a terminal made visible."""
    return STEERING.sub(lambda found: ascii(found.group())[1:-1], text)


def word(value: Any) -> str:
    """A value of an answer as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict | list) else str(value)


def moment(value: Any) -> str:
    """A time in UTC to the second, with its Z."""
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return word(value)


def print_table(headings: Sequence[str], rows: Rows) -> None:
    """Rows under headings; no row, only headings at a terminal and nothing in a pipe."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(table(headings, rows))
        return
    for line in columns([headings, *rows] if rows else []):
        print(line)


def table(headings: Sequence[str], rows: Rows, caption: str | None = None) -> "Table":
    """A table for a terminal; ids stay whole, whatever else must fold."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        box=SIMPLE_HEAD,
        caption=Text(safe(caption)) if caption else None,
        pad_edge=False,
    )
    for heading in headings:
        drawn.add_column(heading, no_wrap=heading in ("ID", "CREATED"), overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(safe(cell), style=STYLES.get(cell, "")) for cell in row))
    return drawn


def columns(rows: Rows) -> list[str]:
    """Rows as lines, each column as wide as its widest cell and no wider."""
    cells = [[safe(cell) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def print_record(fields: Mapping[str, Any]) -> None:
    """One thing, a line a field; further lines of a long text stand under its first."""
    width = max((len(safe(name)) for name in fields), default=0)
    for name, value in fields.items():
        lines = word(value).split("\n")
        indented = ("\n" + " " * (width + 2)).join(safe(line) for line in lines)
        print(f"{safe(name).ljust(width)}  {indented}".rstrip())
