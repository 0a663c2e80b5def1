"""What matters of a target's tables only while rows are written: who owns them, what writes along, what keys are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.catalog import SEQUENCE, written

TABLES = """
select n.nspname, c.relname, c.oid::int8, c.relkind = 'p', pg_has_role(c.relowner, 'usage'),
       exists (select from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal and g.tgtype & 3 = 3)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema$)'
"""
COLUMNS = f"""
select a.attrelid::int8, a.attname, a.attidentity = 'a',
       {SEQUENCE},
       a.attnotnull and a.attidentity = '' and not a.atthasdef
         and (select y.typdefault is null from pg_type y where y.oid = a.atttypid),
       (with recursive base (id, modifier) as (
            select a.atttypid, a.atttypmod
             union all select t.typbasetype, t.typtypmod from base join pg_type t on t.oid = id where t.typtype = 'd')
        select format_type(id, modifier) from base join pg_type t on t.oid = id where t.typtype <> 'd')
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated = ''
 where a.attrelid = any(%s::oid[]) and a.attnum > 0 and not a.attisdropped
"""
LIMIT = r"(\(\d+(,\d+)?\))?"
PLAIN = re.compile(
    rf"smallint|integer|bigint|boolean|uuid|date|bytea|timestamp{LIMIT} with(out)? time zone|text"
    rf"|character varying{LIMIT}|character{LIMIT}"
)
TEXTS = re.compile(rf"text|character varying{LIMIT}|character{LIMIT}")


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one table. `fixed` columns are always identities; `types` are the columns' types, of domains what they are
    made of; `required` ones take no null and have no default; `is_adorned` says that triggers may write other values
    than they were given."""

    oid: int
    is_owned: bool
    is_adorned: bool
    fixed: frozenset[str]
    sequences: Mapping[str, str]
    types: Mapping[str, str]
    required: frozenset[str] = frozenset()
    is_divided: bool = False

    def own_rows(self, table: sql.Composable) -> sql.Composed:
        """The rows of the table itself: those of tables that inherit from it are none, those of its parts are."""
        return sql.SQL("{}" if self.is_divided else "only {}").format(table)

    def exact(self, column: str, value: sql.Composable) -> sql.Composable:
        """A value so that what compares as equal is equal: some types have no equality, some a lax one."""
        if TEXTS.fullmatch(self.types[column]):
            return sql.SQL('{} collate "C"').format(value)
        return value if PLAIN.fullmatch(self.types[column]) else sql.SQL("({})::text").format(value)

    def digest(self, values: Mapping[str, sql.Composable]) -> sql.Composed:
        """What these columns hold, in short."""
        members = [self.exact(column, value) for column, value in values.items()]
        return sql.SQL("hash_record_extended(row({}), 0)").format(sql.SQL(", ").join(members))

    def digest_of(self, columns: list[str], alias: str = "t") -> sql.Composed:
        """What these columns of a row hold, in short."""
        return self.digest({column: sql.Identifier(alias, column) for column in columns})


async def read_facts(connection: AsyncConnection[Any], names: set[str]) -> Mapping[str, Facts]:
    """The facts of these tables, by name."""
    found = await (await connection.execute(TABLES)).fetchall()
    tables = {written(schema, name): rest for schema, name, *rest in found if written(schema, name) in names}
    columns = await (await connection.execute(COLUMNS, [[oid for oid, *_ in tables.values()]])).fetchall()
    return {name: facts(rest, [column for oid, *column in columns if oid == rest[0]]) for name, rest in tables.items()}


def facts(table: list[Any], columns: list[Any]) -> Facts:
    """The facts of one table."""
    oid, is_divided, is_owned, is_adorned = table
    return Facts(
        oid,
        is_owned,
        is_adorned,
        frozenset(name for name, fixed, *_ in columns if fixed),
        {name: sequence for name, _, sequence, *_ in columns if sequence},
        {name: data_type for name, *_, data_type in columns},
        frozenset(name for name, _, _, required, _ in columns if required),
        is_divided,
    )
