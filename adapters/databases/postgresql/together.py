"""Foreign keys of empty tables are checked once for all rows that come, where we own the tables, not for each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, errors, sql

from adapters.databases.postgresql.staging import Stage

# Below it, the change of the tables takes longer than it saves.
WORTH_ROWS = 10_000
KEYS = """
select k.conname, pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'), n.nspname, c.relname
  from pg_constraint k join pg_class c on c.oid = k.confrelid join pg_namespace n on n.oid = c.relnamespace
  join pg_class o on o.oid = k.conrelid
 where k.contype = 'f' and k.conrelid = %s::int8::oid and k.convalidated and k.conparentid = 0 and k.conislocal
   and c.relkind = 'r' and o.relkind = 'r' and not o.relhassubclass and not o.relispartition
   and has_table_privilege(c.oid, 'references') and has_table_privilege(c.oid, 'select')
"""


# Long enough for the server's own housekeeping to give way, which it does after a second.
PATIENCE = "select current_setting('lock_timeout'), set_config('lock_timeout', '2500ms', true)"
NO_LONGER = "select set_config('lock_timeout', %s, true)"


class InUse(Exception):
    """Somebody may want to read or write one of the tables meanwhile."""


@asynccontextmanager
async def checked_together(connection: AsyncConnection[Any], stages: Sequence[Stage]) -> AsyncIterator[None]:
    """The keys of these stages' tables are away within, where nobody can miss them, and are checked after it."""
    away = [again for stage in stages if is_worth_it(stage) for again in await taken_away(connection, stage)]
    yield
    for again in away:
        await connection.execute(again)


def is_worth_it(stage: Stage) -> bool:
    """Whether there is something to gain, and nothing but the rows that come can break a key."""
    return stage.is_first and stage.facts.is_owned and not stage.facts.is_adorned and stage.rows >= WORTH_ROWS


async def taken_away(connection: AsyncConnection[Any], stage: Stage) -> list[sql.Composed]:
    """Takes the keys away that lead from an empty table to an empty one; the statements that put them back."""
    found = await (await connection.execute(KEYS, [stage.facts.oid])).fetchall()
    return [
        again
        for name, definition, comment, *other in found
        if await is_away(connection, stage, name, sql.Identifier(*other))
        for again in put_back(stage, name, definition, comment)
    ]


async def is_away(connection: AsyncConnection[Any], stage: Stage, name: str, other: sql.Identifier) -> bool:
    """Takes one key away, if both tables are empty and nobody uses them; we hardly wait for them."""
    lock = sql.SQL("lock table {}, {} in access exclusive mode").format(stage.real, other)
    filled = sql.SQL("select exists (select from {}) or exists (select from {})").format(stage.real, other)
    drop = sql.SQL("alter table {} drop constraint {}").format(stage.real, sql.Identifier(name))
    try:
        async with connection.transaction():
            before = await (await connection.execute(PATIENCE)).fetchone()
            await connection.execute(lock)
            await connection.execute(NO_LONGER, before[:1] if before else ["0"])
            row = await (await connection.execute(filled)).fetchone()
            if row is None or row[0]:
                raise InUse
            await connection.execute(drop)
    except (InUse, errors.LockNotAvailable, errors.InsufficientPrivilege):
        return False
    return True


def put_back(stage: Stage, name: str, definition: str, comment: str | None) -> list[sql.Composed]:
    """What makes a key as it was, which checks all rows; the definition is the server's own words."""
    add = sql.SQL("alter table {} add constraint {} {}")
    found = [add.format(stage.real, sql.Identifier(name), sql.SQL(definition))]
    if comment is not None:
        say = sql.SQL("comment on constraint {} on {} is {}")
        found.append(say.format(sql.Identifier(name), stage.real, sql.Literal(comment)))
    return found
