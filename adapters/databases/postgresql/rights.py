"""What a connection to PostgreSQL may be used for: never for an event store, and for packing with few rights."""

from typing import Any

from psycopg import AsyncConnection

from domain.errors import Invalid

# Names are looked up in the catalog, which shows them also to who may not use the schema.
EVENT_STORE = """
select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where n.nspname = 'rollbook' and c.relname in ('events', 'identity') having count(*) = 2)
"""
# A superuser could read files and run programs on the server; as this role it can read all tables and no more. Where
# policies choose rows, that role would silently be shown fewer of them.
REDUCE = """
select set_config('role', reader.rolname, false) from pg_roles me, pg_roles reader
 where me.rolname = current_user and me.rolsuper and reader.rolname = 'pg_read_all_data'
   and has_database_privilege(reader.oid, current_database(), 'temporary')
   and not exists (select from pg_class where relrowsecurity)
"""


async def refuse_event_store(connection: AsyncConnection[Any]) -> None:
    """Invalid when the database is where a Rollbook keeps its events."""
    row = await (await connection.execute(EVENT_STORE)).fetchone()
    if row == (True,):
        raise Invalid("This database is an event store of Rollbook's; no package comes from there or goes there")


async def reduce_rights(connection: AsyncConnection[Any]) -> None:
    """Takes from a superuser what packing does not need, for as long as the connection lasts."""
    await connection.execute(REDUCE)
