"""Rows that others attached since to rows that are about to go."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, sql

from domain.errors import Clash

REFERRING = """
select coalesce(pg_partition_root(k.conrelid), k.conrelid)::int8, n.nspname, c.relname,
       (select array_agg(a.attname::text order by u.place) from unnest(k.conkey) with ordinality u (number, place)
          join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number),
       (select array_agg(a.attname::text order by u.place) from unnest(k.confkey) with ordinality u (number, place)
          join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number)
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
 where k.contype = 'f' and k.confrelid = %s::int8::oid and k.conparentid = 0
"""
UNINDEXED = """
select n.nspname, c.relname,
       (select array_agg(a.attname::text order by u.place) from unnest(k.conkey) with ordinality u (number, place)
          join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number)
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
 where k.contype = 'f' and k.confrelid = any(%s::oid[]) and k.conparentid = 0 and c.relkind = 'r'
   and pg_has_role(c.relowner, 'usage') and has_schema_privilege(n.oid, 'create') and pg_relation_size(c.oid) > 1000000
   and not exists (select from pg_index i
                    where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] = any(k.conkey))
"""


async def refuse_attached(
    connection: AsyncConnection[Any], oid: int, name: str, leaving: Mapping[int, sql.Composable]
) -> None:
    """Clash when rows that will stay refer to rows that will go; `leaving` has those, as `t`, by table."""
    for referring, schema, table, columns, referenced in await (await connection.execute(REFERRING, [oid])).fetchall():
        same = [
            sql.SQL("c.{} = t.{}").format(sql.Identifier(column), sql.Identifier(key))
            for column, key in zip(columns, referenced, strict=True)
        ]
        query = sql.SQL("select count(*) from (select {} from {}) t join {} c on {} where {}")
        keys = sql.SQL(", ").join([sql.Identifier("t", key) for key in dict.fromkeys(referenced)])
        stays: sql.Composable = sql.SQL("true")
        if referring in leaving:
            among = sql.SQL("not exists (select from {} where t.tableoid = c.tableoid and t.ctid = c.ctid)")
            stays = among.format(leaving[referring])
        child = sql.Identifier(schema, table)
        parts = (keys, leaving[oid], child, sql.SQL(" and ").join(same), stays)
        row = await (await connection.execute(query.format(*parts))).fetchone()
        if row and row[0]:
            raise Clash(f"{row[0]} rows of {table} refer to rows of {name} that would go; force the rollback")


@asynccontextmanager
async def indexed(connection: AsyncConnection[Any], oids: list[int]) -> AsyncIterator[None]:
    """Within, large tables have an index on what refers to these: each row that goes is looked for in all of them."""
    made = list[sql.Identifier]()
    for schema, table, columns in await (await connection.execute(UNINDEXED, [oids])).fetchall():
        name = f"rollbook_undo_{len(made)}"
        listed = sql.SQL(", ").join([sql.Identifier(column) for column in columns])
        make = sql.SQL("create index {} on {} ({})")
        await connection.execute(make.format(sql.Identifier(name), sql.Identifier(schema, table), listed))
        made.append(sql.Identifier(schema, name))
    yield
    for index in made:
        await connection.execute(sql.SQL("drop index {}").format(index))
