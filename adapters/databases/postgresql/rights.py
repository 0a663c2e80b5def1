"""What a connection to PostgreSQL may be used for: never for an event store, and for packing with few rights."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from psycopg import AsyncConnection, sql

from domain.errors import Invalid

# Names are looked up in the catalog, which shows them also to who may not use the schema.
EVENT_STORE = """
select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'rollbook' and c.relname in ('events', 'identity') having count(*) = 2)
"""
# A superuser could read files and run programs on the server; as this role it can read all tables and no more. Where
# policies choose rows, that role would silently be shown fewer of them: another takes its place, see below.
REDUCE = """
select set_config('role', reader.rolname, false) from pg_roles me, pg_roles reader
 where me.rolname = current_user and me.rolsuper and reader.rolname = 'pg_read_all_data'
   and has_database_privilege(reader.oid, current_database(), 'temporary')
   and not exists (select from pg_class where relrowsecurity)
"""

IS_SUPERUSER = "select from pg_roles where rolname = current_user and rolsuper"
READER = sql.SQL("create role {} nologin bypassrls in role pg_read_all_data")


async def refuse_event_store(connection: AsyncConnection[Any]) -> None:
    """Invalid when the database is where a Rollbook keeps its events."""
    async with connection.transaction():
        await connection.execute("set local search_path = pg_catalog")
        row = await (await connection.execute(EVENT_STORE)).fetchone()
    if row == (True,):
        raise Invalid("This database is an event store of Rollbook's; no package comes from there or goes there")


async def reduce_rights(connection: AsyncConnection[Any]) -> None:
    """Takes from a superuser what packing does not need, for as long as the connection lasts."""
    await connection.execute(REDUCE)


async def give_up_rights(connection: AsyncConnection[Any], tables: Sequence[sql.Identifier]) -> None:
    """Takes them from a superuser who still has them, for the rest of a transaction that must be taken back.

    The role that is left may read all tables and write these, and goes with the transaction: nobody else ever sees it.
    """
    if not (await connection.execute(IS_SUPERUSER)).rowcount:
        return
    reader = sql.Identifier(f"rollbook_reader_{uuid4().hex}")
    await connection.execute(READER.format(reader))
    for table in tables:
        await connection.execute(sql.SQL("grant insert on {} to {}").format(table, reader))
    await connection.execute(sql.SQL("set local role {}").format(reader))
