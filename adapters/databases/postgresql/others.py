"""What a PostgreSQL database holds beside plain tables: tables in parts, and views and others that are no tables."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

from psycopg import AsyncConnection

from adapters.databases.postgresql.catalog import written
from domain.dataset import Table
from domain.errors import Invalid

DIVIDED = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'p'
"""
OTHERS = """
select n.nspname, c.relname,
       case c.relkind when 'v' then 'a view' when 'm' then 'a materialized view' when 'f' then 'a foreign table' end,
       m.nspname, r.relname
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  left join pg_class r on c.relispartition and r.oid = pg_partition_root(c.oid)
  left join pg_namespace m on m.oid = r.relnamespace
 where c.relkind in ('v', 'm', 'f') or c.relispartition and c.relkind in ('r', 'p')
"""


async def divided(connection: AsyncConnection[Any]) -> Set[str]:
    """The tables whose rows all lie in parts of them."""
    found = await (await connection.execute(DIVIDED)).fetchall()
    return {written(schema, name) for schema, name in found}


async def refuse_others(
    connection: AsyncConnection[Any], catalog: Mapping[str, Table], names: Iterable[str], what_tables_are: str
) -> None:
    """Invalid says of what is there and is no table by itself what it is; `packed` or `deployed to`, only those are."""
    if not (unknown := [name for name in names if name not in catalog]):
        return
    found = await (await connection.execute(OTHERS)).fetchall()
    known = {written(schema, name): told(*what) for schema, name, *what in found}
    for name in unknown:
        if name in known:
            raise Invalid(f"'{name}' is {known[name]}; only whole tables are {what_tables_are}")


def told(kind: str, schema: str | None, table: str | None) -> str:
    """What it is; `table` is the whole that it is a part of."""
    return f"a part of the table {written(schema, table)}" if schema and table else kind
