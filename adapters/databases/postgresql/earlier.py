"""References to rows that are not in the package: by the notes of what was deployed before, each to its key here."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.facts import Facts
from adapters.databases.postgresql.marks import lineage
from adapters.databases.postgresql.quoting import table_name
from adapters.databases.postgresql.staging import Reference, Stage, key_of_text, key_text

PARTS = "select part from rollbook_packages.parts where table_name = %s"


async def look_up(connection: AsyncConnection[Any], stages: Sequence[Stage], facts: Mapping[str, Facts]) -> None:
    """Finds where rows went that packages brought earlier: this one, or all others that agree."""
    fresh = {stage.part for stage in stages if stage.is_first}
    for stage in stages:
        for reference in stage.references:
            real = reference.real
            if real is None or reference.key.referenced_columns != real.primary_key:
                continue
            found = await connection.execute(PARTS, [reference.key.referenced_table])
            if parts := [part for (part,) in await found.fetchall() if part not in fresh]:
                noted = await note(connection, stage, reference, parts, facts[reference.key.referenced_table])
                reference.is_mapped = noted > 0


async def note(
    connection: AsyncConnection[Any], stage: Stage, reference: Reference, parts: list[int], facts: Facts
) -> int:
    """Fills the table of keys for one reference; answers how many there are."""
    assert reference.real is not None
    key, places = reference.real.primary_key, list(enumerate(reference.key.columns))
    values = [sql.SQL("{} as {}").format(stage.given(c), sql.Identifier(f"a{n}")) for n, c in places]
    targets = [sql.SQL("t.{} as {}").format(sql.Identifier(c), sql.Identifier(f"b{n}")) for n, c in enumerate(key)]
    same = [sql.SQL("t.{} = {}").format(sql.Identifier(c), key_of_text(key, facts, c)) for c in key]
    query = sql.SQL(
        """create temporary table {mapping} on commit drop as
           select r.*, {targets}
             from (select distinct {values} from {stage} s where {outside}) r
             join lateral (
                select coalesce(max(o.target_key) filter (where o.part = {own}),
                                case when count(distinct o.target_key) = 1 then max(o.target_key) end) as target_key
                  from ({notes}) o where o.source_key = {source}) l on true
             join {real} t on {same}"""
    )
    own = reference.parent.part if reference.parent else await own_part(connection, stage, reference)
    made: dict[str, sql.Composable] = {
        "mapping": stage.mapping(reference),
        "stage": stage.temporary,
        "real": table_name(reference.real),
    }
    made |= {"targets": sql.SQL(", ").join(targets), "values": sql.SQL(", ").join(values)}
    made |= {"outside": outside(stage, reference), "own": sql.Literal(own), "notes": notes(parts)}
    source = key_text([sql.Identifier("r", f"a{n}") for n, _ in places])
    made_table = await connection.execute(query.format(**made, source=source, same=sql.SQL(" and ").join(same)))
    return made_table.rowcount


def notes(parts: list[int]) -> sql.Composed:
    """The notes of several parts."""
    query = sql.SQL("select {} as part, source_key, target_key from {}")
    return sql.SQL(" union all ").join([query.format(sql.Literal(part), lineage(part)) for part in parts])


async def own_part(connection: AsyncConnection[Any], stage: Stage, reference: Reference) -> int:
    """What this package brought of a table in another version."""
    query = """select part from rollbook_packages.parts where table_name = %s and package =
                 (select package from rollbook_packages.parts where part = %s)"""
    found = await (await connection.execute(query, [reference.key.referenced_table, stage.part])).fetchone()
    return int(found[0]) if found else 0


def outside(stage: Stage, reference: Reference) -> sql.Composable:
    """Whether a row refers to one that is not in the package."""
    conditions = [sql.SQL("{} is not null").format(stage.given(name)) for name in reference.key.columns]
    if reference.parent:
        same = [sql.SQL("{} = {}").format(reference.parent.given(r, "p"), stage.given(c)) for c, r in reference.pairs]
        query = sql.SQL("not exists (select from {} p where {})")
        conditions.append(query.format(reference.parent.temporary, sql.SQL(" and ").join(same)))
    return sql.SQL(" and ").join(conditions)
