"""Reads which keys of a package became which, as its target remembers them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.key_lines import Pairs, in_lines
from adapters.databases.postgresql import marks
from application.ports.databases import Lines

# The index is missing where rows have no key of their own in the package.
PART_OF = """
select p.part, to_regclass('rollbook_packages.lineage_' || p.part || '_key') is not null
  from rollbook_packages.parts p join rollbook_packages.deployments d using (package)
 where d.deployment_id = %s and p.table_name = %s
"""
ONE_MOMENT = "set transaction isolation level repeatable read, read only"
ALL = sql.SQL("select source_key, target_key from {} order by source_key")
# Written by the server, a key costs a third of what it does when each is a value that we take.
PAGE = sql.SQL(
    """select max(source_key), '[' || json_agg(source_key)::text || ',' || json_agg(target_key)::text || ']'
         from (select source_key, target_key from {} {} order by source_key limit {}) page"""
)
BEHIND = sql.SQL("where source_key > %s")
KEYS_AT_ONCE = 10_000


async def pairs(connection: AsyncConnection[Any], deployment_id: str, table: str) -> AsyncGenerator[Pairs, None]:
    """The whole mapping of a table."""
    async with connection.transaction():
        if (part := await marks.one(connection, PART_OF, [deployment_id, table])) is None:
            return
        async with connection.cursor("keys") as cursor:
            await cursor.execute(ALL.format(marks.lineage(part[0])))
            while batch := await cursor.fetchmany(KEYS_AT_ONCE):
                yield batch


async def lines(connection: AsyncConnection[Any], deployment_id: str, table: str) -> AsyncGenerator[Lines, None]:
    """The same in lines, as of one moment."""
    if (part := await marks.one(connection, PART_OF, [deployment_id, table])) is None:
        return
    if not part[1]:
        async with aclosing(in_lines(pairs(connection, deployment_id, table))) as found:
            async for line in found:
                yield line
        return
    async with connection.transaction():
        await connection.execute(ONE_MOMENT)
        lineage, behind, last = marks.lineage(part[0]), sql.SQL(""), list[str]()
        while (found_here := await page(connection, PAGE.format(lineage, behind, KEYS_AT_ONCE), last))[0] is not None:
            behind, last = BEHIND, [found_here[0]]
            yield [found_here[1].encode()]


async def page(connection: AsyncConnection[Any], query: sql.Composed, values: list[str]) -> tuple[str | None, str]:
    """The last key of a page, and its line."""
    found = await (await connection.execute(query, values or None)).fetchone()
    return (found[0], found[1]) if found else (None, "")
