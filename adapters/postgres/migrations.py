"""Brings a database to the newest schema, as its owner; each step runs once, in order."""

import asyncio
from importlib import resources

import psycopg
import structlog
from psycopg import sql

from adapters.postgres.pools import CONNECT_SECONDS
from domain.errors import Unavailable

log = structlog.get_logger()
LOCK_TRIES, LOCK_PAUSE_SECONDS = 120, 0.5
GROUP_ROLES = ("rollbook_writer", "rollbook_reader", "rollbook_projector")


async def migrate(owner_url: str, app_role: str) -> None:
    """Applies the steps that are missing and lets `app_role` act as the group roles; safe to run at every start."""
    async with await connected(owner_url) as connection:
        await connection.execute("set lock_timeout = '60s'")
        await connection.execute("select pg_advisory_lock(7240562)")
        await connection.execute("create table if not exists public.rollbook_schema (step text primary key)")
        done = await steps_done(connection)
        for name, script in steps():
            if name not in done:
                await apply(connection, name, script)
        for grant in grants(connection.info.server_version):
            await connection.execute(grant.format(sql.Identifier(app_role)))


def grants(server_version: int) -> list[sql.SQL]:
    """What the app role may become, and read as itself: who inherited all roles at once would see every organisation.

    Before Postgres 16 that is up to whoever makes the role: NOINHERIT.
    """
    alone = " with inherit false" if server_version >= 160_000 else ""
    become = [sql.SQL(f"grant {role} to {{}}{alone}") for role in GROUP_ROLES]
    return [*become, sql.SQL("grant select on public.rollbook_schema to {}")]


async def refuse_missing_schema(app_url: str) -> None:
    """Unavailable when the schema, or a step that this release needs, is not there yet. One that is newer is welcome,
    for a release only ever adds to what the one before it needs."""
    try:
        async with await connected(app_url) as connection:
            done = await steps_done(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        done = set()
    known = {name for name, _ in steps()}
    if known - done:
        lacking = ", ".join(sorted(known - done))
        raise Unavailable(f"The database lacks the schema of this release ({lacking}): set DATABASE_OWNER_URL once")
    if done - known:
        log.warning("schema.newer_than_this_release", steps=sorted(done - known))


async def connected(url: str) -> psycopg.AsyncConnection:
    """A connection on which each statement counts at once."""
    return await psycopg.AsyncConnection.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)


async def steps_done(connection: psycopg.AsyncConnection) -> set[str]:
    """The steps that the database has."""
    return {name for (name,) in await (await connection.execute("select step from public.rollbook_schema")).fetchall()}


def steps() -> list[tuple[str, str]]:
    """Name and SQL of each step, in order."""
    folder = resources.files("adapters.postgres") / "schema"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [(f.name.removesuffix(".sql"), f.read_text(encoding="utf-8")) for f in files]


async def apply(connection: psycopg.AsyncConnection, name: str, script: str) -> None:
    """Runs one step. While it waits for the lock of a table that is in use, everybody else waits behind it, appends of
    the older release too: so it waits briefly, lets them pass, and tries again. Unavailable after many tries."""
    for _ in range(LOCK_TRIES):
        try:
            return await run_step(connection, name, script)
        except psycopg.errors.LockNotAvailable:
            log.info("schema.waits", step=name)
            await asyncio.sleep(LOCK_PAUSE_SECONDS)
    raise Unavailable(f"The schema's step {name} finds its tables in use, and waits no longer")


async def run_step(connection: psycopg.AsyncConnection, name: str, script: str) -> None:
    """One step in a transaction of its own."""
    async with connection.transaction():
        await connection.execute("set local lock_timeout = '500ms'")
        await connection.execute(script.encode())
        await connection.execute("insert into public.rollbook_schema values (%s)", [name])
