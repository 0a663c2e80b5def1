"""What a PostgreSQL database holds, read from its catalog: tables, columns, keys, references."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection

from domain.dataset import Column, ForeignKey, KeyStrategy, Table

DEFAULT_SCHEMA = "public"
HIDDEN = "('pg_catalog', 'information_schema', 'rollbook', 'rollbook_views', 'rollbook_packages')"
TABLES = f"""
select c.oid::int8, n.nspname, c.relname
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
   and n.nspname not in {HIDDEN} and n.nspname not like 'pg\\_%' and c.relname not like 'rollbook\\_%'
   and has_table_privilege(c.oid, 'select')
 order by n.nspname, c.relname
"""
SEQUENCE = """case when a.attidentity <> '' or d.adbin is not null
            then coalesce(
                pg_get_serial_sequence(format('%%I.%%I', n.nspname, c.relname), a.attname),
                (select format('%%I.%%I', o.nspname, s.relname)
                   from pg_depend p join pg_class s on s.oid = p.refobjid join pg_namespace o on o.oid = s.relnamespace
                  where p.classid = 'pg_attrdef'::regclass and p.objid = d.oid and p.refclassid = 'pg_class'::regclass
                    and s.relkind = 'S' and pg_get_expr(d.adbin, d.adrelid) ~ '^nextval[(]''[^'']*''::regclass[)]$')
            ) end"""
"""What a column counts in: its own sequence, or one that no column owns and its default takes the next value of."""
COLUMNS = f"""
select a.attrelid::int8, a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull, a.attgenerated <> '',
       case when a.atttypid in ('varchar'::regtype, 'bpchar'::regtype) and a.atttypmod > 4 then a.atttypmod - 4 end,
       {SEQUENCE}
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated = ''
 where a.attrelid = any(%s::oid[]) and a.attnum > 0 and not a.attisdropped
 order by a.attrelid, a.attnum
"""
CONSTRAINTS = """
select conrelid, contype, conname, confrelid, columns, referenced, confdeltype, confupdtype
  from (select distinct on (conrelid, contype, confrelid, columns, referenced,
                            case when not is_partial then conname end)
               *
          from (select coalesce(pg_partition_root(k.conrelid), k.conrelid)::int8 as conrelid, k.contype, k.conname,
                       coalesce(pg_partition_root(k.confrelid), k.confrelid)::int8 as confrelid,
                       (select array_agg(a.attname::text order by u.place)
                          from unnest(k.conkey) with ordinality u (number, place)
                          join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number) as columns,
                       (select array_agg(a.attname::text order by u.place)
                          from unnest(k.confkey) with ordinality u (number, place)
                          join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number) as referenced,
                       k.confdeltype, k.confupdtype,
                       coalesce(pg_partition_root(k.conrelid) <> k.conrelid, false) as is_partial
                  from pg_constraint k
                 where k.contype in ('p', 'u', 'f') and k.conparentid = 0) k
         where conrelid = any(%s::oid[]::int8[]) and (contype = 'f' or not is_partial)) k
 order by conname
"""
"""What holds of a table, and the references of its partitions, which refer to the same: once."""
INDEXES = """
select i.indrelid::int8,
       (select array_agg(a.attname::text order by u.place)
          from unnest(i.indkey) with ordinality u (number, place)
          join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.number
         where u.place <= i.indnkeyatts)
  from pg_index i join pg_class c on c.oid = i.indexrelid
 where i.indrelid = any(%s::oid[]) and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
   and not i.indisprimary and not exists (select from pg_constraint k where k.conindid = i.indexrelid
                                             and k.contype in ('u', 'x') and k.conrelid = i.indrelid)
 order by c.relname
"""
"""What makes all rows differ without being a constraint."""
ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


async def read_catalog(connection: AsyncConnection[Any]) -> Mapping[str, Table]:
    """Every table that the role may read, by its name as packages write it."""
    names = told_apart({oid: (schema, name) for oid, schema, name in await rows(connection, TABLES, [])})
    oids = list(names)
    columns, constraints, indexes = [
        grouped(await rows(connection, query, [oids])) for query in (COLUMNS, CONSTRAINTS, INDEXES)
    ]
    found = [
        described(oid, names, columns.get(oid, []), constraints.get(oid, []), indexes.get(oid, [])) for oid in oids
    ]
    return {written(table.schema, table.name): table for table in found}


def told_apart(names: dict[int, tuple[str, str]]) -> dict[int, tuple[str, str]]:
    """Without those that are written alike, `a.b` of the default schema and `b` of the schema `a`: neither may stand in
    for the other."""
    counts = Counter(written(*name) for name in names.values())
    return {oid: name for oid, name in names.items() if counts[written(*name)] == 1}


def grouped(found: list[Any]) -> dict[int, list[Any]]:
    """Rows by their first value."""
    by_first: dict[int, list[Any]] = {}
    for first, *rest in found:
        by_first.setdefault(first, []).append(rest)
    return by_first


def written(schema: str, name: str) -> str:
    """The name of a table as packages write it: that of the default schema stands alone."""
    return name if schema == DEFAULT_SCHEMA else f"{schema}.{name}"


def described(
    oid: int, names: dict[int, tuple[str, str]], columns: list[Any], constraints: list[Any], indexes: list[Any]
) -> Table:
    """One table."""
    schema, name = names[oid]
    primary = next((tuple(columns) for kind, _, _, columns, *_ in constraints if kind == "p"), ())
    references = tuple(foreign_key(written(schema, name), names, *rest) for kind, *rest in constraints if kind == "f")
    known = tuple(key for key in references if key.referenced_table)
    referring = {column for key in known for column in key.columns}
    sequences = {column: sequence for column, *_, sequence in columns if sequence}
    unique = [columns for kind, _, _, columns, *_ in constraints if kind == "u"] + [columns for (columns,) in indexes]
    generated = len(primary) == 1 and primary[0] in sequences
    return Table(
        name=name,
        schema=schema,
        columns=tuple(column(primary, referring, *facts) for facts in columns),
        primary_key=primary,
        foreign_keys=known,
        unique=tuple(dict.fromkeys(tuple(columns) for columns in unique)),
        strategy=KeyStrategy.SEQUENCE if generated else KeyStrategy.PRESERVE,
        sequence=sequences[primary[0]] if generated else None,
    )


def column(
    primary: tuple[str, ...],
    referring: set[str],
    name: str,
    data_type: str,
    is_nullable: bool,
    is_generated: bool,
    max_length: int | None,
    _: str | None,
) -> Column:
    """One column."""
    data_type = data_type.removeprefix(f"{DEFAULT_SCHEMA}.")
    return Column(name, data_type, name in primary, name in referring, is_nullable, max_length, is_generated)


def foreign_key(
    table: str,
    names: dict[int, tuple[str, str]],
    name: str,
    referenced: int,
    columns: list[str],
    referenced_columns: list[str],
    on_delete: str,
    on_update: str,
) -> ForeignKey:
    """One reference; to a table that the role may not read, it is one to nowhere."""
    parent = written(*names[referenced]) if referenced in names else ""
    actions = ACTIONS.get(on_delete, "NO ACTION"), ACTIONS.get(on_update, "NO ACTION")
    return ForeignKey(name, table, tuple(columns), parent, tuple(referenced_columns), *actions)


async def rows(connection: AsyncConnection[Any], query: str, values: list[Any]) -> list[Any]:
    """What a query of ours answers."""
    return await (await connection.execute(query.encode(), values or None)).fetchall()
