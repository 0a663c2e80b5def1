"""What a MySQL or MariaDB database holds, read from information_schema: tables, columns, keys, references."""

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.databases.mysql.quoting import literal
from adapters.databases.mysql.session import Session
from domain.dataset import Column, ForeignKey, KeyStrategy, Table
from domain.errors import Invalid

# A database here is what others call a schema: references that lead out of it are not followed.
HERE = "table_schema = database() and table_name not like 'rollbook\\_%'"
TABLES = f"""
select table_name, table_schema from information_schema.tables
 where {HERE} and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by table_name
"""
COLUMNS = f"""
select table_name, column_name, column_type, is_nullable = 'YES', character_maximum_length,
       extra like '%GENERATED%' and extra not like '%DEFAULT_GENERATED%', extra like '%auto_increment%'
  from information_schema.columns where {HERE} order by table_name, ordinal_position
"""
KEYS = f"""
select table_name, index_name, column_name, sub_part is not null or column_name is null
  from information_schema.statistics where {HERE} and non_unique = 0
 order by table_name, index_name = 'PRIMARY' desc, index_name, seq_in_index
"""
REFERENCES = """
select k.table_name, k.constraint_name, k.referenced_table_name, k.referenced_table_schema = k.table_schema,
       r.delete_rule, r.update_rule, k.column_name, k.referenced_column_name
  from information_schema.key_column_usage k
  join information_schema.referential_constraints r
    on r.constraint_schema = k.constraint_schema and r.constraint_name = k.constraint_name
       and r.table_name = k.table_name
 where k.table_schema = database() and k.table_name not like 'rollbook\\_%'
   and k.referenced_table_name is not null
 order by k.table_name, k.constraint_name, k.ordinal_position
"""
TYPES = """
select column_name, column_type, character_set_name, collation_name
  from information_schema.columns where table_schema = database() and table_name = {}
"""
OTHERS = f"""
select table_name, table_type from information_schema.tables
 where {HERE} and table_type in ('VIEW', 'SEQUENCE') and table_name in ({{}})
"""
PRIMARY = "PRIMARY"


async def read_catalog(session: Session) -> Mapping[str, Table]:
    """Every table that the user may see, by name."""
    tables, columns = await session.rows(TABLES), grouped(await session.rows(COLUMNS))
    keys, references = grouped(await session.rows(KEYS)), grouped(await session.rows(REFERENCES))
    known = {name for name, _ in tables}
    return {
        name: described(name, schema, columns.get(name, []), keys.get(name, []), own(references.get(name, []), known))
        for name, schema in tables
    }


def grouped(found: Iterable[Any]) -> dict[str, list[Any]]:
    """Rows by their first value."""
    by_first: dict[str, list[Any]] = {}
    for first, *rest in found:
        by_first.setdefault(first, []).append(rest)
    return by_first


def own(references: list[Any], known: set[str]) -> list[Any]:
    """References within the database."""
    return [facts for facts in references if facts[2] and facts[1] in known]


def described(name: str, schema: str, columns: list[Any], keys: list[Any], references: list[Any]) -> Table:
    """One table."""
    unique = unique_keys(keys)
    primary = unique.pop(PRIMARY, ())
    made = {column for column, *_, is_made in columns if is_made}
    foreign = tuple(foreign_key(name, key, rows) for key, rows in grouped(references).items())
    referring = {column for key in foreign for column in key.columns}
    return Table(
        name=name,
        schema=schema,
        columns=tuple(
            Column(column, data_type, column in primary, column in referring, bool(nullable), length, bool(generated))
            for column, data_type, nullable, length, generated, _ in columns
        ),
        primary_key=primary,
        foreign_keys=foreign,
        unique=tuple(unique.values()),
        strategy=KeyStrategy.AUTO_INCREMENT if primary and set(primary) <= made else KeyStrategy.PRESERVE,
    )


def unique_keys(keys: list[Any]) -> dict[str, tuple[str, ...]]:
    """The columns of each unique index; one over parts of texts or over expressions only counts when it is primary."""
    found: dict[str, tuple[str, ...]] = {}
    partial = {index for index, _, is_partial in keys if is_partial and index != PRIMARY}
    for index, column, _ in keys:
        if index not in partial:
            found[index] = (*found.get(index, ()), column)
    return found


def foreign_key(table: str, name: str, rows: list[Any]) -> ForeignKey:
    """One reference, of which each row tells a pair of columns."""
    parent, _, on_delete, on_update = rows[0][:4]
    columns, referenced = tuple(row[4] for row in rows), tuple(row[5] for row in rows)
    return ForeignKey(name, table, columns, parent, referenced, on_delete, on_update)


async def read_types(session: Session, table: str) -> Mapping[str, str]:
    """The type of each column, with its collation, as a temporary table of ours may have it: nullable, no default."""
    return {
        column: f"{data_type}{f' character set {charset} collate {collation}' if charset else ''} null default null"
        for column, data_type, charset, collation in await session.rows(TYPES.format(literal(table)))
    }


async def refuse_others(session: Session, names: Iterable[str], what_tables_are: str) -> None:
    """Invalid says of what is there and is no table what it is; `packed` or `deployed to`, only tables are."""
    found = await session.one(OTHERS.format(", ".join(map(literal, names)) or "''"))
    if found:
        raise Invalid(f"'{found[0]}' is a {found[1].lower()}; only tables are {what_tables_are}")


async def refuse_without_transactions(session: Session, tables: Iterable[str]) -> None:
    """Invalid names a table whose engine could not take back what is written to it."""
    listed = ", ".join(map(literal, tables)) or "''"
    found = await session.one(
        f"""select table_name, engine from information_schema.tables
             where table_schema = database() and table_name in ({listed}) and engine <> 'InnoDB'"""
    )
    if found:
        raise Invalid(f"The target's table '{found[0]}' is kept by {found[1]}, which cannot take back what is written")
