"""Which key of a package became which key in the target, now and at any point of the past: by pages, or all of them."""

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
from entrypoints.http.reading import SHOWN, TAKEN, Reading, reading
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
    takes=TAKEN,
    gives=SHOWN,
)
async def read_keys(call: Call, deployment_id: str, query: models.ReadKeys) -> Answer:
    """Page through the mapping of a table's keys; of one that was kept the order never changes."""
    offset = offset_of(query.cursor)
    past = await reading(call, query.as_of)
    row = await deployment_with_keys(past, deployment_id)
    table = table_of(row, query.table)
    found, more = await page(await pairs_of(past, row, table), offset, query.limit)
    mappings = [{"source": source, "target": target} for source, target in found]
    following = str(offset + len(found)) if more else None
    body = {"table": table, "mappings": mappings, "count": len(found), "next": following}
    return answer(body, headers=past.headers())


@packages.get(
    f"{ONE}/mappings/download",
    action="package.data",
    answer=str,
    media_type=MEDIA[models.KeyFormat.NDJSON],
    raises=(NotFound, Clash, Invalid, Unavailable),
    takes=TAKEN,
    gives=SHOWN,
)
async def download_keys(call: Call, deployment_id: str, query: models.DownloadKeys) -> Answer:
    """Download the mapping of one table, or of all, a pair a line."""
    past = await reading(call, query.as_of)
    row = await deployment_with_keys(past, deployment_id)
    tables = [table_of(row, query.table)] if query.table else list(row["mapped"])
    lines = written(past, row, tables, query.format)
    name = f"{PREFIX}{row['id']}-mappings.{query.format}"
    # Until here a target that does not answer can be told by a status.
    first = await anext(lines)
    headers = {**past.headers(), "content-disposition": f"attachment; filename={name}"}
    return Answer(headers=headers, media_type=MEDIA[query.format], chunks=led_by(first, lines))


async def deployment_with_keys(past: Reading, deployment_id: str) -> Row:
    """The deployment's row; Clash unless it is or was there, for only then it has a mapping."""
    row = await find_deployment(past, parse_deployment_id(deployment_id))
    if row["status"] != Status.DEPLOYED:
        is_or_was = "is" if past.as_of is None else "was"
        raise Clash(f"The deployment {is_or_was} {WORDS[row['status']]}: it has no mapping")
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


async def pairs_of(past: Reading, row: Row, table: str) -> AsyncGenerator[Pairs, None]:
    """The whole mapping of a table in batches, as it was kept; else as the target remembers it, which is only now."""
    app = past.call.app
    if row["kept"] is not None:
        kept: AsyncGenerator[Pairs, None] = app.mappings.pairs(row["kept"], table)
        return kept
    if past.as_of is not None:
        raise Clash("This deployment's mapping was not kept: only the present one can be asked for, without as_of")
    environment: Environment = await app.environments.find(past.call.caller.organisation, row["environment"])
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


async def written(past: Reading, row: Row, tables: list[str], form: models.KeyFormat) -> AsyncGenerator[bytes, None]:
    """The mapping of these tables as text, in pieces; the first is there as soon as the target or the store answers."""
    head = HEADS[form]
    for table in tables:
        async with aclosing(await pairs_of(past, row, table)) as batches:
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
