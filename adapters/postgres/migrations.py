"""Brings a database to the newest schema, as its owner; each step runs once, in order."""

from importlib import resources

import psycopg
from psycopg import sql

GROUP_ROLES = ("rollbook_writer", "rollbook_reader", "rollbook_projector")


async def migrate(owner_url: str, app_role: str) -> None:
    """Applies the steps that are missing and lets `app_role` act as the group roles; safe to run at every start."""
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
        await connection.execute("select pg_advisory_lock(7240562)")
        await connection.execute("create table if not exists public.rollbook_schema (step text primary key)")
        done = await (await connection.execute("select step from public.rollbook_schema")).fetchall()
        for name, script in steps():
            if (name,) not in done:
                await apply(connection, name, script)
        for role in GROUP_ROLES:
            grant = sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(app_role))
            await connection.execute(grant)


def steps() -> list[tuple[str, str]]:
    """Name and SQL of each step, in order."""
    folder = resources.files("adapters.postgres") / "schema"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(f.name.removesuffix(".sql"), f.read_text(encoding="utf-8")) for f in files]


async def apply(connection: psycopg.AsyncConnection, name: str, script: str) -> None:
    """Runs one step in a transaction of its own."""
    async with connection.transaction():
        await connection.execute(script.encode())
        await connection.execute("insert into public.rollbook_schema values (%s)", [name])
