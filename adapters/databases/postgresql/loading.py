"""Copies packaged rows into a target's temporary tables, with next to no work here for a row that is as we write it."""

import re
from collections.abc import Iterable
from typing import Any

import orjson
from psycopg import AsyncConnection, DataError, sql

from adapters.databases.postgresql.progress import Telling
from adapters.databases.postgresql.staging import Stage
from application.ports.databases import Contents, Lines
from domain.errors import Invalid

# A line of JSON texts is a line of CSV, but for escapes, and for space that only JSON overlooks.
SPACED = (b'" ', b' "', b"\t", b"\r")
SPACED_NULLS = (b"null ", b" null")
# Where the server says that a value is which it cannot read.
PLACE = re.compile(r"COPY rollbook_stage_\d+, line \d+, column v(\d+)")
FORM = "(format csv, quote '\"', escape '\\', null 'null', encoding 'UTF8')"


async def fill(
    connection: AsyncConnection[Any], stage: Stage, contents: Contents, telling: Telling, raw: bool = False
) -> None:
    """Copies the rows of a table in."""
    table = sql.Identifier(f"rollbook_raw_{stage.number}") if raw else stage.temporary
    names = sql.SQL(", ").join([sql.Identifier(f"v{n}") for n in range(len(stage.names))])
    copy = sql.SQL("copy {} ({}) from stdin {}").format(table, names, sql.SQL(FORM))
    width = len(stage.names)
    async with connection.cursor() as cursor:
        try:
            async with cursor.copy(copy) as target:
                async for lines in contents.rows(stage.name):
                    await target.write(as_csv(lines, stage.name, width))
                    telling.read(lines)
        except DataError as problem:
            raise unfit(stage, problem) from None
        if cursor.rowcount != telling.rows:
            raise Invalid(f"The rows of {stage.name} are not lines of JSON as packages have them")
    stage.rows = telling.rows
    await connection.execute(sql.SQL("analyze {}").format(table))


def unfit(stage: Stage, problem: DataError) -> Invalid:
    """What the server says of a value, with the table and the column as users know them."""
    place = PLACE.match(problem.diag.context or "")
    where = f"column '{stage.names[int(place[1])]}'" if place else "table"
    what = problem.diag.message_primary or type(problem).__name__
    return Invalid(f"Rows of {stage.name} do not fit the target's {where}: {what}")


def as_csv(lines: Lines, name: str, width: int) -> bytes:
    """Rows as COPY reads them."""
    whole = b"\n".join(lines)
    text = whole.replace(b"]\n[", b"\n")
    if len(whole) - len(text) != 2 * len(lines) - 2 or whole[:1] + whole[-1:] != b"[]" or is_spaced(whole):
        return b"".join(rewritten(lines, name, width))
    if b"\\" in whole:
        return b"".join(line[1:-1] + b"\n" if b"\\" not in line else row(line, name, width) for line in lines)
    return text[1:-1] + b"\n"


def is_spaced(whole: bytes) -> bool:
    """Whether there may be space between values; there is when a text looks like it, too."""
    return any(map(whole.__contains__, SPACED)) or (b"null" in whole and any(map(whole.__contains__, SPACED_NULLS)))


def rewritten(lines: Lines, name: str, width: int) -> Iterable[bytes]:
    """Rows read and written again, one by one."""
    return (row(line, name, width) for line in lines)


def row(line: bytes, name: str, width: int) -> bytes:
    """One row as COPY reads it."""
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise Invalid(f"A row of {name} is not JSON") from None
    if not isinstance(values, list) or len(values) != width:
        raise Invalid(f"A row of {name} does not have {width} values")
    return ",".join(map(quoted, values)).encode() + b"\n"


def quoted(value: Any) -> str:
    """A value as COPY reads it."""
    if value is None:
        return "null"
    if not isinstance(value, str):
        raise Invalid(f"A value of a package is {type(value).__name__}, not a text")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
