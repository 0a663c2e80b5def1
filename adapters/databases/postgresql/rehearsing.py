"""Dry runs take no value of any sequence: they count in sequences of their own, far from where others count."""

from typing import Any

from psycopg import AsyncConnection, sql

from adapters.databases.postgresql.staging import Stage

STATE = """
select case when sign(seqincrement) > 0 then greatest(least(seqmax - %s, seqmax / 2), coalesce(v, seqstart)) + 1
            else least(greatest(seqmin + %s, seqmin / 2), coalesce(v, seqstart)) - 1 end, sign(seqincrement)::int
  from pg_sequence, lateral pg_sequence_last_value(seqrelid) v where seqrelid = %s::regclass
"""
ROOM = 100_000_000


async def rehearsed(connection: AsyncConnection[Any], stage: Stage) -> dict[str, str]:
    """A sequence of the transaction's own for each of the table's; all go with the transaction."""
    found = {}
    for number, (column, sequence) in enumerate(stage.facts.sequences.items()):
        name = f"rollbook_rehearsal_{stage.number}_{number}"
        row = await (await connection.execute(STATE, [ROOM, ROOM, sequence])).fetchone()
        start, way = row or (1, 1)
        make = sql.SQL("create temporary sequence {} increment {} minvalue {} maxvalue {} start {}")
        limits = (-(2**63), 2**63 - 1)
        await connection.execute(make.format(sql.Identifier(name), way, *limits, start))
        found[column] = f"pg_temp.{name}"
    return found
