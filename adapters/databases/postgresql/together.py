"""Foreign keys of empty tables are checked once for all rows that come, where we own the tables, not for each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
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
   and not exists (select from pg_trigger g where g.tgconstraint = k.oid and g.tgenabled <> 'O')
"""
"""Those that can be made again just as they are: whole, on plain tables, and nobody turned a part of them off."""
# Long enough for the server's own housekeeping to give way, which it does after a second.
PATIENCE = "select current_setting('lock_timeout'), set_config('lock_timeout', '2500ms', true)"
NO_LONGER = "select set_config('lock_timeout', %s, true)"


# What speaks against it here, be it an event trigger that lets nobody drop keys; they are checked row by row then.
REFUSALS = (
    errors.InsufficientPrivilege,
    errors.DependentObjectsStillExist,
    errors.ObjectInUse,
    errors.FeatureNotSupported,
    errors.RaiseException,
)


class Filled(Exception):
    """One of the tables has rows."""


class InUse(Exception):
    """Somebody reads or writes one of the tables, or waits to."""


@asynccontextmanager
async def checked_together(connection: AsyncConnection[Any], stages: Sequence[Stage]) -> AsyncIterator[None]:
    """The keys of these stages' tables are away within, where nobody can miss them, and are checked after it."""
    away: list[sql.Composed] = []
    with suppress(InUse):
        for stage in stages:
            if is_worth_it(stage):
                await take_away(connection, stage, away)
    yield
    for again in away:
        await connection.execute(again)


def is_worth_it(stage: Stage) -> bool:
    """Whether there is something to gain, and nothing but the rows that come can break a key."""
    return stage.is_first and stage.facts.is_owned and not stage.facts.is_adorned and stage.rows >= WORTH_ROWS


async def take_away(connection: AsyncConnection[Any], stage: Stage, away: list[sql.Composed]) -> None:
    """Takes the keys away that lead from an empty table to an empty one, and adds to `away` what puts them back. InUse
    when somebody is in the way: he is not waited for again, nor is anybody who waits behind us."""
    found = await (await connection.execute(KEYS, [stage.facts.oid])).fetchall()
    for name, definition, comment, *other in found:
        if await is_away(connection, stage, name, sql.Identifier(*other)):
            away += put_back(stage, name, definition, comment)


async def is_away(connection: AsyncConnection[Any], stage: Stage, name: str, other: sql.Identifier) -> bool:
    """Takes one key away, if both tables are empty and nobody uses them; we hardly wait for them."""
    lock = sql.SQL("lock table {}, {} in access exclusive mode").format(stage.real, other)
    drop = sql.SQL("alter table {} drop constraint {}").format(stage.real, sql.Identifier(name))
    try:
        async with connection.transaction():
            await refuse_filled(connection, stage.real, other)
            before = await (await connection.execute(PATIENCE)).fetchone()
            await connection.execute(lock)
            await connection.execute(NO_LONGER, before[:1] if before else ["0"])
            await refuse_filled(connection, stage.real, other)
            await connection.execute(drop)
    except (errors.LockNotAvailable, errors.DeadlockDetected):
        raise InUse from None
    except (Filled, *REFUSALS):
        return False
    return True


async def refuse_filled(connection: AsyncConnection[Any], *tables: sql.Composable) -> None:
    """Filled when one of the tables has rows; before the lock, so that tables in use are never locked."""
    rows = [sql.SQL("exists (select from {})").format(table) for table in tables]
    row = await (await connection.execute(sql.SQL("select {}").format(sql.SQL(" or ").join(rows)))).fetchone()
    if row != (False,):
        raise Filled


def put_back(stage: Stage, name: str, definition: str, comment: str | None) -> list[sql.Composed]:
    """What makes a key as it was, which checks all rows; the definition is the server's own words."""
    add = sql.SQL("alter table {} add constraint {} {}")
    found = [add.format(stage.real, sql.Identifier(name), sql.SQL(definition))]
    if comment is not None:
        say = sql.SQL("comment on constraint {} on {} is {}")
        found.append(say.format(sql.Identifier(name), stage.real, sql.Literal(comment)))
    return found
