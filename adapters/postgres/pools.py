"""Connections, each in one role: writers append, readers see one organisation, projectors follow the log."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, TypeVar

import psycopg
import structlog
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from domain.errors import StorageFull, Unavailable

log = structlog.get_logger()
T = TypeVar("T")
CONNECT_SECONDS = 5
OPEN_SECONDS = 30.0
ANSWER_SECONDS = 5.0
PAUSE_SECONDS = 0.1
FULL = "The disk of the event store is full: nothing was recorded"
# Whatever says that the database is away, or in the middle of handing over to another, and may be back soon.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction)
# A host that vanishes says nothing: these find it out within ten seconds or so.
VIGILANCE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class BeingBuilt(Unavailable):
    """A read model has no table yet: no projector has begun with it."""


class RoleConnection(psycopg.AsyncConnection[Any]):
    """A connection that remembers whose rows it may see."""

    organisation: str | None = None


def pool(url: str, role: LiteralString, size: int, name: str) -> AsyncConnectionPool[RoleConnection]:
    """A closed pool whose connections act as `role`, in autocommit mode."""

    async def assume_role(connection: RoleConnection) -> None:
        await connection.set_autocommit(True)
        await connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        await connection.execute("set search_path = rollbook, rollbook_views, pg_temp")
        await connection.execute(
            "set plan_cache_mode = force_generic_plan" if role == "rollbook_writer" else "select 1"
        )

    return AsyncConnectionPool(
        url,
        connection_class=RoleConnection,
        kwargs={"connect_timeout": CONNECT_SECONDS, "application_name": f"rollbook {name}", **VIGILANCE},
        min_size=1,
        max_size=size,
        timeout=ANSWER_SECONDS,
        reconnect_timeout=2.0,
        configure=assume_role,
        open=False,
        name=name,
    )


@dataclass(slots=True)
class Pools:
    """The pools of one process.

    `losses` counts how often a reader's connection was gone. A server that died may have forgotten the last rows of
    read models: who waits for them in one step and reads them in another begins again when this has changed.
    """

    writer: AsyncConnectionPool[RoleConnection]
    reader: AsyncConnectionPool[RoleConnection]
    projector: AsyncConnectionPool[RoleConnection]
    losses: int = 0

    @classmethod
    def of(cls, url: str, size: int) -> "Pools":
        """Pools for one database; nothing is connected before `open`."""
        return cls(
            pool(url, "rollbook_writer", 3, "writer"),
            pool(url, "rollbook_reader", size, "reader"),
            pool(url, "rollbook_projector", 4, "projector"),
        )

    async def open(self) -> None:
        """Connects, or raises PoolTimeout after OPEN_SECONDS."""
        for one in (self.writer, self.reader, self.projector):
            await one.open(wait=True, timeout=OPEN_SECONDS)

    async def close(self) -> None:
        """Ends all connections."""
        for one in (self.writer, self.reader, self.projector):
            await one.close(timeout=2)

    @asynccontextmanager
    async def reading(self, organisation: str) -> AsyncIterator[RoleConnection]:
        """A connection that sees the rows of this organisation only."""
        async with self.reader.connection() as connection:
            try:
                await narrow(connection, organisation)
                yield connection
            finally:
                self.losses += connection.broken

    @asynccontextmanager
    async def writing(self, organisation: str) -> AsyncIterator[RoleConnection]:
        """A connection that, beside the log, writes the rows of this organisation only."""
        async with self.writer.connection() as connection:
            await narrow(connection, organisation)
            yield connection


async def narrow(connection: RoleConnection, organisation: str) -> None:
    """From here on row security shows this organisation's rows."""
    if connection.organisation != organisation:
        connection.organisation = None
        await connection.execute("select set_config('rollbook.organisation', %s, false)", [organisation])
        connection.organisation = organisation


async def again_when_cut_off(work: Callable[[], Awaitable[T]], seconds: float = ANSWER_SECONDS) -> T:
    """Does again what lost its connection, for so long; then, or without its table, it is Unavailable, and StorageFull
    without room. Only for work that may be done twice."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return await work()
                except psycopg.errors.DiskFull as problem:
                    raise StorageFull(FULL) from problem
                except psycopg.errors.UndefinedTable as problem:
                    raise BeingBuilt("The read model is still being built") from problem
                except AWAY as problem:
                    log.warning("store.away", problem=type(problem).__name__)
                    await asyncio.sleep(PAUSE_SECONDS)
    except TimeoutError as problem:
        raise Unavailable("The event store does not answer") from problem


async def refuse_powerful_role(url: str) -> None:
    """Start is refused when the working role, or one that it may become, could bypass what protects the log.

    Raises PermissionError.
    """
    query = """select bool_or(rolsuper or rolbypassrls or exists (
                 select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where n.nspname = 'rollbook' and c.relowner = r.oid))
                 from pg_roles r where pg_has_role(current_user, r.oid, 'member')"""
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
        row = await (await connection.execute(query)).fetchone()
    if row and row[0]:
        raise PermissionError("DATABASE_URL names a role that is a superuser, may bypass row security or owns the log")
