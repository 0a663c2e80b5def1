"""Reads values and compares keys as the database itself does, whatever a role, a database or a type was made to say."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.catalog import written

# What makes texts of values that any PostgreSQL reads back exactly.
EXACT = "; ".join(
    f"set local {name} = {value}"
    for name, value in {
        "timezone": "'UTC'",
        "datestyle": "'ISO, MDY'",
        "intervalstyle": "'postgres'",
        "extra_float_digits": "1",
        "bytea_output": "'hex'",
        "xmloption": "'content'",
        "lc_monetary": "'C'",
        "array_nulls": "on",
        "quote_all_identifiers": "off",
        "standard_conforming_strings": "on",
    }.items()
)
# Who may make functions where names are looked for could stand in for those that are meant, and would be run with the
# rights of whoever packs. Extensions bring operators that conditions rely on.
PATH = """
select set_config('search_path', concat_ws(', ', 'pg_catalog', string_agg(distinct quote_ident(n.nspname), ', ')),
                  false)
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace
 where n.nspname <> 'pg_catalog' and not has_schema_privilege('public', n.oid, 'create')
"""
OPERATORS = """
select n.nspname, c.relname, k.conname, array_agg(m.nspname::text order by u.place),
       array_agg(o.oprname::text order by u.place)
  from pg_constraint k
  join pg_class c on c.oid = coalesce(pg_partition_root(k.conrelid), k.conrelid)
  join pg_namespace n on n.oid = c.relnamespace
  join unnest(k.conpfeqop) with ordinality u (operator, place) on true
  join pg_operator o on o.oid = u.operator join pg_namespace m on m.oid = o.oprnamespace
 where k.contype = 'f'
 group by k.oid, n.nspname, c.relname, k.conname having bool_or(m.nspname <> 'pg_catalog')
"""
PRINTED = """
select n.nspname, c.relname, a.attname
  from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_type t on t.oid = a.atttypid
 where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p')
   and ('bpchar'::regtype in (a.atttypid, t.typbasetype) and a.atttypmod < 0 and t.typtypmod < 0
        or exists (select from pg_cast k where k.castsource in (a.atttypid, t.typbasetype) and k.oid >= 16384
                      and k.casttarget = 'text'::regtype and k.castmethod = 'f'))
"""
EQUAL = sql.SQL("=")


@dataclass(frozen=True, slots=True)
class Exactness:
    """`operators` are those of references whose columns are of types that extensions brought, `printed` the columns
    whose values lose something when they are cast to texts: to blanks at their ends, or to what a cast was made to say.
    """

    operators: Mapping[tuple[str, str], Sequence[sql.Composable]]
    printed: Set[tuple[str, str]]

    def same(self, table: str, reference: str, place: int) -> sql.Composable:
        """What says that a key, on its left, is the one that is referred to."""
        found = self.operators.get((table, reference))
        return found[place] if found else EQUAL

    def text(self, table: str, column: str) -> sql.Composed:
        """The text of a column of rows `t`."""
        value = sql.Identifier("t", column)
        if (table, column) not in self.printed:
            return sql.SQL("{}::text").format(value)
        return sql.SQL("case when {} is distinct from null then format('%s', {}) end").format(value, value)


async def rely_on_catalog(connection: AsyncConnection[Any]) -> None:
    """From here on names mean what PostgreSQL and its extensions mean by them."""
    await connection.execute("set search_path = pg_catalog")
    await connection.execute(PATH.encode())


async def exactness(connection: AsyncConnection[Any]) -> Exactness:
    """What the catalog says of references and of types."""
    references = await (await connection.execute(OPERATORS.encode())).fetchall()
    columns = await (await connection.execute(PRINTED.encode())).fetchall()
    return Exactness(
        {(written(schema, table), name): operators(*told) for schema, table, name, *told in references},
        {(written(schema, table), column) for schema, table, column in columns},
    )


def operators(schemas: Sequence[str], names: Sequence[str]) -> list[sql.Composable]:
    """Operators in their schemas. Their names are of signs alone."""
    named = zip(schemas, names, strict=True)
    return [sql.SQL(f"operator({{}}.{name})").format(sql.Identifier(schema)) for schema, name in named]
