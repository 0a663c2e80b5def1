"""Writes staged rows into their table: new ones, changed ones, and the notes that undo both."""

from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.keys import same_key
from adapters.databases.postgresql.quoting import digest_of
from adapters.databases.postgresql.staging import Stage
from application.ports.databases import DeployOptions, Order, TableOutcome
from domain.errors import Clash


async def write(connection: AsyncConnection[Any], stage: Stage, order: Order) -> TableOutcome:
    """Writes what is to be written of one table; Clash when a row is there and may neither be skipped nor updated."""
    existing = await count(connection, sql.SQL("select count(*) from {} where found").format(stage.temporary))
    refuse_existing(stage, existing, order.options)
    changed = 0
    if order.options.update_existing and stage.key:
        await refuse_drift(connection, stage, order)
        await keep_images(connection, stage, order)
        changed = await update(connection, stage)
    new = await insert(connection, stage)
    if stage.key:
        await keep_lineage(connection, stage, order)
        await move_sequence(connection, stage)
    else:
        await keep_lines(connection, stage, order)
    return TableOutcome(new, changed, existing - changed)


def refuse_existing(stage: Stage, existing: int, options: DeployOptions) -> None:
    """Rows that are there must be skipped or updated."""
    if existing and not (options.skip_existing or options.update_existing):
        raise Clash(f"{existing} rows of {stage.name} exist in the target; skip or update them")


async def insert(connection: AsyncConnection[Any], stage: Stage) -> int:
    """Adds the new rows; answers how many."""
    names = [column.name for column in stage.columns]
    query = sql.SQL("insert into {} ({}) overriding system value select {} from {} s where not s.found order by s.line")
    values = sql.SQL(", ").join([stage.value(name) for name in names])
    listed = sql.SQL(", ").join([sql.Identifier(name) for name in names])
    return (await connection.execute(query.format(stage.real, listed, values, stage.temporary))).rowcount


async def update(connection: AsyncConnection[Any], stage: Stage) -> int:
    """Sets the packaged columns of rows that differ in them; answers how many did."""
    names = free_columns(stage)
    if not names:
        return 0
    sets = [sql.SQL("{} = {}").format(sql.Identifier(name), stage.value(name)) for name in names]
    query = sql.SQL("update {} t set {} from {} s where s.found and {} and ({})")
    parts = (stage.real, sql.SQL(", ").join(sets), stage.temporary, same_key(stage), differing(stage))
    return (await connection.execute(query.format(*parts))).rowcount


async def keep_images(connection: AsyncConnection[Any], stage: Stage, order: Order) -> None:
    """Keeps what the rows that will change are now."""
    if not free_columns(stage):
        return
    query = sql.SQL(
        """insert into rollbook_packages.undo
           select {deployment}, {name}, {key}, s.source_key, {before}, l.digest
             from {stage} s join {real} t on {same}
             left join rollbook_packages.lineage l
               on l.package = {package} and l.table_name = {name} and l.source_key = s.source_key
            where s.found and ({differing})"""
    )
    facts = {"stage": stage.temporary, "real": stage.real, "same": same_key(stage), "differing": differing(stage)}
    facts |= {"deployment": sql.Literal(order.deployment_id), "package": sql.Literal(order.package)}
    facts |= {"name": sql.Literal(stage.name), "key": key_text(stage, "s")}
    await connection.execute(query.format(**facts, before=image(stage)))


async def refuse_drift(connection: AsyncConnection[Any], stage: Stage, order: Order) -> None:
    """Rows that somebody changed since this package left them are not overwritten, unless forced."""
    if order.options.force:
        return
    query = sql.SQL(
        """select count(*) from {stage} s join {real} t on {same}
             join rollbook_packages.lineage l
               on l.package = {package} and l.table_name = {name} and l.source_key = s.source_key
            where s.found and l.digest <> {digest}"""
    )
    facts = {"stage": stage.temporary, "real": stage.real, "same": same_key(stage), "digest": digest(stage)}
    drifted = await count(
        connection, query.format(**facts, package=sql.Literal(order.package), name=sql.Literal(stage.name))
    )
    if drifted:
        raise Clash(f"{drifted} rows of {stage.name} were changed in the target since this package was deployed there")


async def keep_lineage(connection: AsyncConnection[Any], stage: Stage, order: Order) -> None:
    """Notes where each row went and as what it was left there."""
    query = sql.SQL(
        """insert into rollbook_packages.lineage
           select distinct on (s.source_key) {package}, {name}, s.source_key, {key}, {digest},
                  case when not s.found then {deployment} end
             from {stage} s join {real} t on {same} where s.source_key is not null
           on conflict (package, table_name, source_key) do update
              set target_key = excluded.target_key, digest = excluded.digest,
                  inserted_by = coalesce(excluded.inserted_by, lineage.inserted_by)"""
    )
    facts = {"stage": stage.temporary, "real": stage.real, "same": same_key(stage), "digest": digest(stage)}
    facts |= {"package": sql.Literal(order.package), "name": sql.Literal(stage.name), "key": key_text(stage, "s")}
    await connection.execute(query.format(**facts, deployment=sql.Literal(order.deployment_id)))


async def keep_lines(connection: AsyncConnection[Any], stage: Stage, order: Order) -> None:
    """Of rows without a key only what they look like is noted."""
    values = [sql.SQL("({})::text").format(stage.value(column.name)) for column in stage.columns]
    query = sql.SQL(
        """insert into rollbook_packages.lineage
           select {package}, {name}, {deployment} || '#' || s.line, '', md5(array[{values}]::text[]::text)::uuid,
                  {deployment}
             from {stage} s where not s.found"""
    )
    facts = {"package": sql.Literal(order.package), "name": sql.Literal(stage.name), "stage": stage.temporary}
    values_text = sql.SQL(", ").join(values)
    await connection.execute(query.format(**facts, deployment=sql.Literal(order.deployment_id), values=values_text))


async def move_sequence(connection: AsyncConnection[Any], stage: Stage) -> None:
    """A sequence goes on behind the highest key that was brought along."""
    if stage.table.sequence and not stage.generates:
        column = sql.Identifier(stage.table.primary_key[0])
        query = sql.SQL("select setval({}::regclass, greatest(max({}), nextval({}::regclass))) from {}")
        name = sql.Literal(stage.table.sequence)
        await connection.execute(query.format(name, column, name, stage.real))


def free_columns(stage: Stage) -> list[str]:
    """The packaged columns that are not of the key."""
    return [column.name for column in stage.columns if column.name not in stage.table.primary_key]


def differing(stage: Stage) -> sql.Composed:
    """Whether a row differs from the package, compared as texts: some types have no equality."""
    return sql.SQL(" or ").join(
        [
            sql.SQL("t.{}::text is distinct from ({})::text").format(sql.Identifier(name), stage.value(name))
            for name in free_columns(stage)
        ]
    )


def image(stage: Stage) -> sql.Composed:
    """The packaged columns of a row of the target, as texts by name."""
    pairs = [sql.SQL("{}, t.{}::text").format(sql.Literal(name), sql.Identifier(name)) for name in free_columns(stage)]
    return sql.SQL("json_build_object({})::text").format(sql.SQL(", ").join(pairs))


def digest(stage: Stage) -> sql.Composed:
    """What a row of the target is now, in short."""
    return digest_of([column.name for column in stage.columns])


def key_text(stage: Stage, alias: str) -> sql.Composed:
    """A row's key in the target as text."""
    values = [sql.SQL("{}::text").format(sql.Identifier(alias, f"k{n}")) for n in range(len(stage.key))]
    return sql.SQL("to_json(array[{}]::text[])::text").format(sql.SQL(", ").join(values))


async def count(connection: AsyncConnection[Any], query: sql.Composed) -> int:
    """The one number that a query of ours answers."""
    row = await (await connection.execute(query)).fetchone()
    return int(row[0]) if row else 0
