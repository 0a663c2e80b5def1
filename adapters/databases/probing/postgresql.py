"""Tries a PostgreSQL database, without a word of its address in what is told."""

from time import perf_counter
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from adapters.databases.postgresql.reasons import reason
from adapters.databases.postgresql.rights import refuse_event_store
from application.ports.environments import Access
from domain.errors import Unavailable

CONNECT_SECONDS = 5
RIGHTS = """
select r.rolsuper, current_setting('server_version'),
       not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' and (
           r.rolsuper or has_database_privilege(current_database(), 'create') or exists (
               select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema$)'
                  and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'insert, update, delete')))
  from pg_roles r where r.rolname = current_user
"""


async def probe(dsn: str) -> Access:
    """What the address gives; Unavailable says why it gives nothing, Invalid that it may not be used."""
    try:
        async with await AsyncConnection.connect(
            dsn, connect_timeout=CONNECT_SECONDS, application_name="rollbook", autocommit=True
        ) as connection:
            await refuse_event_store(connection)
            return await access(connection)
    except psycopg.Error as fault:
        raise Unavailable(f"The database cannot be used: {reason(fault)}") from None


async def access(connection: AsyncConnection[Any]) -> Access:
    """What the role may do."""
    began = perf_counter()
    await connection.execute("select 1")
    latency = (perf_counter() - began) * 1000
    row = await (await connection.execute(RIGHTS)).fetchone()
    assert row is not None
    is_superuser, version, can_write = row
    return Access(f"PostgreSQL {version.split()[0]}", round(latency, 2), can_write, is_superuser)


def database_name(dsn: str) -> str:
    """What the DSN calls the database; ValueError when it is none of PostgreSQL's."""
    try:
        facts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise ValueError("it is not the address of a PostgreSQL database") from None
    return str(facts.get("dbname") or facts.get("user") or "")
