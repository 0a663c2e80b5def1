"""Rows that others attached since to rows that are about to go."""

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection, sql

from domain.errors import Clash

REFERRING = """
select k.conrelid::int8, n.nspname, c.relname,
       (select array_agg(a.attname::text order by u.place) from unnest(k.conkey) with ordinality u (number, place)
          join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number),
       (select array_agg(a.attname::text order by u.place) from unnest(k.confkey) with ordinality u (number, place)
          join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number)
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
 where k.contype = 'f' and k.confrelid = %s::int8::oid and k.conparentid = 0
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
        stays = sql.SQL("true")
        if referring in leaving:
            among = sql.SQL("not exists (select from {} where t.tableoid = c.tableoid and t.ctid = c.ctid)")
            stays = among.format(leaving[referring])  # type: ignore[assignment]
        child = sql.Identifier(schema, table)
        parts = (keys, leaving[oid], child, sql.SQL(" and ").join(same), stays)
        row = await (await connection.execute(query.format(*parts))).fetchone()
        if row and row[0]:
            raise Clash(f"{row[0]} rows of {table} refer to rows of {name} that would go; force the rollback")
