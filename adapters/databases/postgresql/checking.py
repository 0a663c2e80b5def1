"""What must hold before the first row is written: references lead somewhere, rows that exist may be there."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.quoting import table_name
from adapters.databases.postgresql.staging import Reference, Stage, key_text
from application.ports.databases import DeployOptions
from domain.errors import Clash, Invalid

NAMED = 10


async def check_references(connection: AsyncConnection[Any], stages: Sequence[Stage], options: DeployOptions) -> None:
    """Invalid names what is missing. Keys that the target makes anew mean nothing there, so that a reference to such a
    row that is not in the package is refused whether or not references are to be checked."""
    missing = []
    for stage in stages:
        for reference in stage.references:
            if options.validate_references or is_meaningless(reference):
                missing += await missing_values(connection, stage, reference, options)
    if missing:
        raise Invalid("; ".join(missing))


def is_meaningless(reference: Reference) -> bool:
    """Whether the packaged value says nothing about the target's rows."""
    parent = reference.parent
    return parent is not None and parent.generates and set(reference.key.referenced_columns) <= set(parent.key)


async def missing_values(
    connection: AsyncConnection[Any], stage: Stage, reference: Reference, options: DeployOptions
) -> list[str]:
    """In words, what rows refer to that is neither in the package nor in the target."""
    values = key_text([stage.given(name) for name in reference.key.columns])
    query = sql.SQL("select distinct {} from {} where {} limit {}")
    condition = sql.SQL("{} and {}").format(leads_nowhere(stage, reference), is_written(options))
    found = await connection.execute(query.format(values, stage.sources, condition, NAMED + 1))
    if not (named := [value for (value,) in await found.fetchall()]):
        return []
    shown = ", ".join(named[:NAMED]) + (" and others" if len(named) > NAMED else "")
    return [f"{stage.name} ({', '.join(reference.key.columns)}) refers to {phrase(reference)} missing: {shown}"]


def phrase(reference: Reference) -> str:
    """Where a reference leads."""
    return f"{reference.key.referenced_table} ({', '.join(reference.key.referenced_columns)}), where these are"


def is_written(options: DeployOptions) -> sql.SQL:
    """Whether a row is one that will be written."""
    return sql.SQL("s.failed is null" if options.update_existing else "s.failed is null and s.found = 0")


def leads_nowhere(stage: Stage, reference: Reference) -> sql.Composable:
    """Whether a row refers to nothing; what was left out of the package's rows is another matter."""
    conditions = [sql.SQL("{} is not null").format(stage.given(name)) for name in reference.key.columns]
    if reference.parent:
        conditions.append(sql.SQL("{}.line is null").format(sql.Identifier(reference.alias)))
    if reference.is_mapped:
        conditions.append(sql.SQL("{}.b0 is null").format(sql.Identifier(reference.mapping_alias)))
    if reference.real and not is_meaningless(reference):
        same = [sql.SQL("r.{} = {}").format(sql.Identifier(r), stage.given(c)) for c, r in reference.pairs]
        query = sql.SQL("not exists (select from {} r where {})")
        conditions.append(query.format(table_name(reference.real), sql.SQL(" and ").join(same)))
    return sql.SQL(" and ").join(conditions)


async def refuse_incomplete(connection: AsyncConnection[Any], stage: Stage) -> None:
    """New rows need a value for what may not be null, unless a trigger may find one."""
    lacking = sorted(stage.facts.required - set(stage.names) - set(stage.key))
    if not lacking or stage.facts.is_adorned:
        return
    query = sql.SQL("select from {} s where s.found = 0 and s.failed is null limit 1").format(stage.temporary)
    if (await connection.execute(query)).rowcount:
        raise Invalid(f"The target's table '{stage.name}' needs a value for '{lacking[0]}', which is not packed")


async def refuse_existing(connection: AsyncConnection[Any], stages: Sequence[Stage], options: DeployOptions) -> None:
    """Rows that are there must be skipped or updated."""
    if options.skip_existing or options.update_existing:
        return
    problems = []
    for stage in stages:
        key = stage.source_key_text() if stage.source_key else sql.SQL("s.line::text")
        query = sql.SQL("select count(*) over (), {} from {} s where s.found > 0 order by s.line limit {}")
        found = await (await connection.execute(query.format(key, stage.temporary, NAMED))).fetchall()
        if found:
            problems.append(f"{found[0][0]} rows of {stage.name} exist ({', '.join(key for _, key in found)})")
    if problems:
        raise Clash(f"{'; '.join(problems)}; skip or update them")


async def refuse_drift(connection: AsyncConnection[Any], stage: Stage, condition: sql.Composable) -> None:
    """Rows that somebody changed since this package left them are not overwritten."""
    query = sql.SQL("select count(*) over (), {} from {} join {} t on {} where {} limit {}")
    parts = (stage.target_key_text(), stage.sources, stage.own_rows, stage.same_key(), condition, NAMED)
    if found := await (await connection.execute(query.format(*parts))).fetchall():
        keys = ", ".join(key for _, key in found)
        raise Clash(
            f"{found[0][0]} rows of {stage.name} were changed in the target since this package was deployed there"
            f" ({keys}); force the deployment to overwrite them"
        )
