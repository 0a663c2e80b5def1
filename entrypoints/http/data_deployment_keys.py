"""Which key of a package became which key in the target: by pages, or all of them."""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import orjson

from application.ports.environments import Environment
from domain.errors import Clash, Invalid, NotFound, Unavailable
from domain.status import Status
from entrypoints.http import data_deployment_models as models
from entrypoints.http.data_deployment_answers import PREFIX, WORDS, find_deployment, parse_deployment_id
from entrypoints.http.data_deployments import ONE
from entrypoints.http.packages import packages
from entrypoints.http.reading import reading
from entrypoints.http.routing import Answer, Call, answer
from projections.read_model import Row

Pair = tuple[str, str, str]
Pairs = Sequence[tuple[str, str]]
MEDIA = {models.KeyFormat.NDJSON: "application/x-ndjson", models.KeyFormat.CSV: "text/csv; charset=utf-8"}
HEADS = {models.KeyFormat.NDJSON: b"", models.KeyFormat.CSV: b"table,source,target\r\n"}
MISTAKABLE = ("=", "+", "-", "@", "\t", "\r")


@packages.get(
    f"{ONE}/mappings",
    action="package.data",
    answer=models.KeyPage,
    raises=(NotFound, Clash, Invalid, Unavailable),
)
async def read_keys(call: Call, deployment_id: str, query: models.ReadKeys) -> Answer:
    """Page through the mapping of a table's keys, in the order of the keys in the package."""
    offset = offset_of(query.cursor)
    row = await deployment_with_keys(call, deployment_id)
    table = table_of(row, query.table)
    found, more = await page(await pairs_of(call, row, table), offset, query.limit)
    mappings = [{"source": source, "target": target} for source, target in found]
    following = str(offset + len(found)) if more else None
    return answer({"table": table, "mappings": mappings, "count": len(found), "next": following})


@packages.get(
    f"{ONE}/mappings/download",
    action="package.data",
    answer=str,
    media_type=MEDIA[models.KeyFormat.NDJSON],
    raises=(NotFound, Clash, Invalid, Unavailable),
)
async def download_keys(call: Call, deployment_id: str, query: models.DownloadKeys) -> Answer:
    """Download the mapping of one table, or of all, a pair a line."""
    row = await deployment_with_keys(call, deployment_id)
    tables = [table_of(row, query.table)] if query.table else list(row["mapped"])
    lines = written(call, row, tables, query.format)
    name = f"{PREFIX}{row['id']}-mappings.{query.format}"
    # Until here a target that does not answer can be told by a status.
    first = await anext(lines)
    headers = {"content-disposition": f"attachment; filename={name}"}
    return Answer(headers=headers, media_type=MEDIA[query.format], chunks=led_by(first, lines))


async def deployment_with_keys(call: Call, deployment_id: str) -> Row:
    """The deployment's row; Clash unless it is there, for then nobody remembers its keys."""
    row = await find_deployment(await reading(call), parse_deployment_id(deployment_id))
    if row["status"] != Status.DEPLOYED:
        raise Clash(f"The deployment is {WORDS[row['status']]}: it has no mapping")
    return row


def table_of(row: Row, name: str | None) -> str:
    """The table that was asked for, or the only one; NotFound names one that has no mapping."""
    if name is None and len(row["mapped"]) == 1:
        return str(next(iter(row["mapped"])))
    if name is None:
        raise Invalid("table: name one of the deployment's tables")
    if name not in row["mapped"]:
        raise NotFound(f"'{name[:255]}' has no mapping: its keys are those of the package, or it is not in it")
    return name


def offset_of(cursor: str | None) -> int:
    """Where the page begins."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Invalid("This cursor is not one of ours")
    return int(cursor)


async def pairs_of(call: Call, row: Row, table: str) -> AsyncGenerator[Pairs, None]:
    """The whole mapping of a table, in batches."""
    environment: Environment = await call.app.environments.find(call.caller.organisation, row["environment"])
    return environment.target().keys(row["id"], table)


async def page(batches: AsyncGenerator[Pairs, None], offset: int, limit: int) -> tuple[list[tuple[str, str]], bool]:
    """So many pairs behind others, and whether there are more."""
    found: list[tuple[str, str]] = []
    passed = 0
    async with aclosing(batches) as reading:
        async for batch in reading:
            found += batch[max(0, offset - passed) : max(0, offset + limit + 1 - passed)]
            passed += len(batch)
            if passed > offset + limit:
                break
    return found[:limit], len(found) > limit


async def written(call: Call, row: Row, tables: list[str], form: models.KeyFormat) -> AsyncGenerator[bytes, None]:
    """The mapping of these tables as text, in pieces; the first is there as soon as the target answers."""
    head = HEADS[form]
    for table in tables:
        async with aclosing(await pairs_of(call, row, table)) as batches:
            async for batch in batches:
                yield head + text_of([(table, *pair) for pair in batch], form)
                head = b""
    yield head


def text_of(pairs: list[Pair], form: models.KeyFormat) -> bytes:
    """Pairs as lines."""
    if form is models.KeyFormat.NDJSON:
        lines = [orjson.dumps({"table": t, "source": s, "target": k}) for t, s, k in pairs]
        return b"".join(line + b"\n" for line in lines)
    out = io.StringIO()
    csv.writer(out).writerows([[harmless(value) for value in pair] for pair in pairs])
    return out.getvalue().encode()


def harmless(value: str) -> Any:
    """What a spreadsheet would take for a formula is led by an apostrophe; numbers are none."""
    is_number = value.removeprefix("-").isdigit()
    return f"'{value}" if value.startswith(MISTAKABLE) and not is_number else value


async def led_by(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """All pieces again."""
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece
