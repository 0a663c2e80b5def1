"""Rows that cannot be written are found by halving, and left out with all that depends on them."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.checking import is_meaningless, is_written, leads_nowhere
from adapters.databases.postgresql.connecting import said
from adapters.databases.postgresql.staging import Stage
from application.ports.databases import DeployOptions
from domain.errors import Invalid

MOST_FAILURES = 10_000
"""More of one table, and something else is wrong than rows."""
LISTED = 1000
ROW_ERRORS = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.RaiseException)
Run = Callable[[sql.Composable], Awaitable[int]]


async def halved(connection: AsyncConnection[Any], stage: Stage, run: Run, rows: int) -> tuple[int, dict[int, str]]:
    """Runs a statement for all rows but those that it fails for; answers its count, and their lines with reasons."""
    done, failed, waiting = 0, dict[int, str](), [(1, rows)] if rows else []
    while waiting:
        low, high = waiting.pop()
        try:
            async with connection.transaction():
                done += await run(sql.SQL("s.line between {} and {}").format(low, high))
        except ROW_ERRORS as problem:
            if low == high:
                failed[low] = said(problem)
            else:
                middle = (low + high) // 2
                waiting += [(middle + 1, high), (low, middle)]
        if len(failed) > MOST_FAILURES:
            first = next(iter(failed.values()))
            raise Invalid(f"More than {MOST_FAILURES} rows of {stage.name} fail; the first: {first}")
    return done, failed


async def mark(connection: AsyncConnection[Any], stage: Stage, failed: dict[int, str]) -> None:
    """Rows that are left out from now on."""
    if failed:
        query = sql.SQL(
            "update {} s set failed = f.reason from unnest(%s::bigint[], %s::text[]) f (line, reason)"
            " where s.line = f.line"
        )
        await connection.execute(query.format(stage.temporary), [list(failed), list(failed.values())])


async def cast(connection: AsyncConnection[Any], stage: Stage) -> None:
    """Fills the stage from its raw rows; of those that are not what the columns take, only the line stays."""
    raw = sql.Identifier(f"rollbook_raw_{stage.number}")
    await connection.execute(sql.SQL("alter table {} add primary key (line)").format(raw))
    names = [sql.Identifier(f"v{n}") for n in range(len(stage.names))]
    values = [
        sql.SQL("s.{}::{}").format(sql.Identifier(f"v{n}"), sql.SQL(unlimited(stage.facts.types[name])))
        for n, name in enumerate(stage.names)
    ]
    query = sql.SQL("insert into {} (line, {}) select s.line, {} from {} s where {}")

    async def run(among: sql.Composable) -> int:
        listed = (sql.SQL(", ").join(names), sql.SQL(", ").join(values))
        return (await connection.execute(query.format(stage.temporary, *listed, raw, among))).rowcount

    _, failed = await halved(connection, stage, run, stage.rows)
    lines = sql.SQL("insert into {} (line, failed) select * from unnest(%s::bigint[], %s::text[])")
    await connection.execute(lines.format(stage.temporary), [list(failed), list(failed.values())])
    await keep_source_keys(connection, stage, raw)


def unlimited(data_type: str) -> str:
    """A type without its length: a cast to it cuts off nothing, so that what is too long is refused when stored."""
    if '"' in data_type:
        return data_type
    bare = re.sub(r"\(\d+(,\s*\d+)?\)", "", data_type)
    return re.sub(r"^bit(?! varying)", '"bit"', re.sub(r"^character(?! varying)", "bpchar", bare))


async def keep_source_keys(connection: AsyncConnection[Any], stage: Stage, raw: sql.Identifier) -> None:
    """A row that failed is still known by its key, as far as that can be read."""
    await connection.execute(sql.SQL("create index on {} (line)").format(stage.temporary))
    await connection.execute(sql.SQL("analyze {}").format(stage.temporary))
    for name in stage.source_key:
        place = stage.names.index(name)
        query = sql.SQL("update {} s set {} = r.{}::{} from {} r where r.line = s.line and s.failed is not null")
        value = sql.Identifier(f"v{place}")
        try:
            async with connection.transaction():
                data_type = sql.SQL(stage.facts.types[name])
                await connection.execute(query.format(stage.temporary, value, value, data_type, raw))
        except ROW_ERRORS:
            continue


async def drop_dependants(connection: AsyncConnection[Any], stages: Sequence[Stage], options: DeployOptions) -> None:
    """Leaves out rows that refer to nothing, or to rows that are left out, until there are no more of them."""
    while sum([await drop_of(connection, stage, options) for stage in stages]):
        pass


async def drop_of(connection: AsyncConnection[Any], stage: Stage, options: DeployOptions) -> int:
    """Those of one table; answers how many there are."""
    dropped = 0
    for reference in stage.references:
        parent, where = sql.Identifier(reference.alias), reference.key.referenced_table
        if reference.parent:
            lost = sql.SQL("{0}.failed is not null and {0}.found = 0").format(parent)
            dropped += await drop(connection, stage, options, lost, f"refers to a row of {where} that is left out")
        if options.validate_references or is_meaningless(reference):
            missing = f"refers to a row of {where} that is missing"
            dropped += await drop(connection, stage, options, leads_nowhere(stage, reference), missing)
    return dropped


async def drop(
    connection: AsyncConnection[Any], stage: Stage, options: DeployOptions, condition: sql.Composable, why: str
) -> int:
    """Leaves rows out, also where they are written already."""
    query = sql.SQL(
        """update {stage} o set failed = {why} from
             (select s.line from {sources} where {condition} and {written}) s where s.line = o.line"""
    )
    facts = {"stage": stage.temporary, "sources": stage.sources, "condition": condition, "why": sql.Literal(why)}
    return (await connection.execute(query.format(**facts, written=is_written(options)))).rowcount


async def remove_dropped(connection: AsyncConnection[Any], stages: Sequence[Stage]) -> None:
    """Takes rows out again that were written before what they refer to turned out to be left out."""
    for stage in reversed(stages):
        if stage.key:
            query = sql.SQL("delete from {} t using {} s where s.found = 0 and s.failed is not null and {}")
            await connection.execute(query.format(stage.own_rows, stage.temporary, stage.same_key()))


async def failures(connection: AsyncConnection[Any], stage: Stage) -> tuple[dict[str, Any], ...]:
    """The rows that were left out, the first of them, by their keys in the source."""
    key = stage.source_key_text() if stage.source_key else sql.SQL("null::text")
    query = sql.SQL("select s.line, {}, s.failed from {} s where s.failed is not null order by s.line limit {}")
    found = await connection.execute(query.format(key, stage.temporary, LISTED))
    return tuple({"row": line, "key": key, "reason": reason} for line, key, reason in await found.fetchall())
