"""Writes staged rows into their table: new ones, and those that changed."""

from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.staging import Stage

ALL = sql.SQL("true")


async def insert(connection: AsyncConnection[Any], stage: Stage, among: sql.Composable, dry: bool) -> int:
    """Adds the new rows; answers how many."""
    values: dict[str, sql.Composable] = {name: stage.value(name) for name in stage.names}
    values |= {name: stage.value(name) for name in stage.key if name not in values}
    values |= {name: sql.SQL("null") for name in stage.late}
    if dry:
        values |= {
            name: sql.SQL("nextval({}::regclass)").format(sql.Literal(sequence))
            for name, sequence in stage.sequences.items()
            if name not in values
        }
    query = sql.SQL(
        """insert into {} ({}) overriding system value
           select {} from {} where s.found = 0 and s.failed is null and {}"""
    )
    listed = sql.SQL(", ").join([sql.Identifier(name) for name in values])
    parts = (stage.real, listed, sql.SQL(", ").join(values.values()), stage.sources, among)
    return (await connection.execute(query.format(*parts))).rowcount


async def complete(connection: AsyncConnection[Any], stage: Stage) -> None:
    """Fills in the references of new rows that had to wait for other new rows."""
    sets = [sql.SQL("{} = {}").format(sql.Identifier(name), stage.mapped(name)) for name in sorted(stage.late)]
    query = sql.SQL("update {} t set {} from {} where s.found = 0 and s.failed is null and {}")
    parts = (stage.own_rows, sql.SQL(", ").join(sets), stage.sources, stage.same_key())
    await connection.execute(query.format(*parts))


async def update(connection: AsyncConnection[Any], stage: Stage, among: sql.Composable) -> int:
    """Sets the packaged columns of rows that differ in them; answers how many did."""
    if not (stage.free and stage.key):
        return 0
    sets = [sql.SQL("{} = {}").format(sql.Identifier(name), stage.mapped(name)) for name in stage.free]
    query = sql.SQL("update {} t set {} from {} where {} and {} and {}")
    parts = (stage.own_rows, sql.SQL(", ").join(sets), stage.sources, stage.same_key(), changing(stage), among)
    return (await connection.execute(query.format(*parts))).rowcount


def changing(stage: Stage) -> sql.Composable:
    """Whether a row is there and not as it is in the package."""
    return sql.SQL("s.found > 0 and s.failed is null and ({})").format(differing(stage))


def differing(stage: Stage) -> sql.Composable:
    """Whether a row of the target differs from the package."""
    if not stage.free:
        return sql.SQL("false")
    exact = stage.facts.exact
    pairs = [(exact(name, sql.Identifier("t", name)), exact(name, stage.mapped(name))) for name in stage.free]
    return sql.SQL(" or ").join([sql.SQL("{} is distinct from {}").format(*pair) for pair in pairs])


async def move_sequences(connection: AsyncConnection[Any], stage: Stage) -> None:
    """Sequences go on behind the furthest value that was brought along; never back."""
    for column, sequence in stage.sequences.items():
        if stage.packs([column]) and not (stage.generates and column in stage.key):
            query = sql.SQL(
                """select case when brought * way > reached * way then setval({sequence}::regclass, brought) end
                     from (select case when i.seqincrement > 0 then max(t.{column})::bigint else min(t.{column})::bigint
                                  end as brought, sign(i.seqincrement) as way,
                                  coalesce(pg_sequence_last_value(i.seqrelid),
                                           i.seqstart - i.seqincrement) as reached
                             from {real} t, pg_sequence i where i.seqrelid = {sequence}::regclass
                            group by i.seqincrement, i.seqrelid, i.seqstart) s"""
            )
            facts = {"sequence": sql.Literal(sequence), "column": sql.Identifier(column), "real": stage.own_rows}
            await connection.execute(query.format(**facts))


async def count(connection: AsyncConnection[Any], query: sql.Composed) -> int:
    """The one number that a query of ours answers."""
    row = await (await connection.execute(query)).fetchone()
    return int(row[0]) if row else 0
