"""Tries a MySQL or MariaDB database, without a word of its address in what is told."""

from time import perf_counter
from typing import Any

import asyncmy
from asyncmy.errors import Error

from adapters.databases.mysql.address import address
from adapters.databases.mysql.reasons import reason
from application.ports.environments import Access
from domain.errors import Unavailable

CONNECT_SECONDS = 5
RIGHTS = """
select version(), @@global.read_only,
       exists (select 1 from information_schema.user_privileges
                where grantee = me.grantee and privilege_type = 'SUPER'),
       exists (select 1 from information_schema.user_privileges
                where grantee = me.grantee and privilege_type = 'INSERT')
       or exists (select 1 from information_schema.schema_privileges
                   where grantee = me.grantee and privilege_type = 'INSERT' and database() like table_schema)
       or exists (select 1 from information_schema.table_privileges
                   where grantee = me.grantee and privilege_type = 'INSERT' and table_schema = database())
  from (select concat('''', replace(current_user(), '@', '''@'''), '''') as grantee) me
"""


async def probe(dsn: str) -> Access:
    """What the address gives; Unavailable says why it gives nothing."""
    try:
        connection = await asyncmy.connect(**address(dsn), connect_timeout=CONNECT_SECONDS, autocommit=True)
        try:
            return await access(connection)
        finally:
            await connection.ensure_closed()
    except Error as fault:
        raise Unavailable(f"The database cannot be used: {reason(fault)}") from None
    except OSError as fault:
        raise Unavailable(f"The database cannot be used: {type(fault).__name__}") from None


async def access(connection: Any) -> Access:
    """What the user may do. Who may do everything may write also where others only read."""
    async with connection.cursor() as cursor:
        began = perf_counter()
        await cursor.execute("select 1")
        latency = (perf_counter() - began) * 1000
        await cursor.execute(RIGHTS)
        version, read_only, is_superuser, may_insert = await cursor.fetchone()
    can_write = bool(may_insert) and (bool(is_superuser) or not int(read_only))
    number, _, _ = str(version).partition("-")
    product = "MariaDB" if "mariadb" in str(version).lower() else "MySQL"
    return Access(f"{product} {number}", round(latency, 2), can_write, bool(is_superuser))


def database_name(dsn: str) -> str:
    """What the DSN calls the database; ValueError when it is none of MySQL's."""
    try:
        return str(address(dsn)["database"])
    except ValueError:
        such = "mysql://user:password@host:3306/database"
        raise ValueError(f"it is not the address of a MySQL database, such as {such}") from None
