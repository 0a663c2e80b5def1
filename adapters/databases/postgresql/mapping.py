"""Reads which keys of a package became which, as its target remembers them."""

from collections.abc import AsyncGenerator
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.key_lines import Pairs
from adapters.databases.postgresql import marks
from application.ports.databases import Lines

PART_OF = """
select p.part from rollbook_packages.parts p join rollbook_packages.deployments d using (package)
 where d.deployment_id = %s and p.table_name = %s
"""
ONE_MOMENT = "set transaction isolation level repeatable read, read only"
ALL = sql.SQL("select source_key, target_key from {} order by source_key")
# Written by the server, where the keys lie, a key costs a sixth of what it does when each is a value that we take.
STRETCH = sql.SQL(
    """select '[' || json_agg(source_key)::text || ',' || json_agg(target_key)::text || ']' from {}
        where ctid >= {} and ctid < {} having count(*) > 0"""
)
PAGES = "select pg_relation_size(%s::regclass) / current_setting('block_size')::int"
PAGES_AT_ONCE = 100
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
    """The same in lines, as of one moment, in the order in which keys were noted."""
    if (part := await marks.one(connection, PART_OF, [deployment_id, table])) is None:
        return
    async with connection.transaction():
        await connection.execute(ONE_MOMENT)
        lineage = marks.lineage(part[0])
        pages = await marks.one(connection, PAGES, [lineage.as_string(connection)])
        for first in range(0, pages[0] if pages else 0, PAGES_AT_ONCE):
            ends = (sql.Literal(f"({page},0)") for page in (first, first + PAGES_AT_ONCE))
            async for (line,) in await connection.execute(STRETCH.format(lineage, *ends)):
                yield [line.encode()]
