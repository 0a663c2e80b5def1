"""Takes away what a store holds and puts in what a backup holds, inside one transaction of the owner."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import uniform
from time import monotonic
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from adapters.postgres.backup import Connection, Progress, counting, partitions, table
from adapters.postgres.backup_archive import BUFFER, Archive, BackupRefused
from adapters.postgres.backup_manifest import TABLES, Manifest, Part

APPEND_LOCK = 7240563
PARTITION = 10_000_000
SEIZE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token of Rollbook's own, by its organisation and id."""

    organisation: str
    id: str


async def seize(connection: Connection) -> None:
    """Locks everything at once. Whoever holds a part of it may wait for another: then all is let go and tried again."""
    deadline = monotonic() + SEIZE_SECONDS
    while True:
        try:
            async with connection.transaction():
                await connection.execute("set local lock_timeout = '500ms'")
                await connection.execute(sql.SQL("select pg_advisory_xact_lock({})").format(sql.Literal(APPEND_LOCK)))
                await drop_read_models(connection)
                await lock_own(connection)
                return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.UndefinedTable):
            if monotonic() > deadline:
                raise BackupRefused("The store is in use: other processes hold on to it. Stop them first") from None
        await asyncio.sleep(uniform(0.05, 0.2))


async def drop_read_models(connection: Connection) -> None:
    """They belong to those who project, who lock them before their checkpoints, and who make them again."""
    for _, name in await tables_of(connection, "<>"):
        await connection.execute(sql.SQL("drop table {}").format(sql.Identifier("rollbook_views", name)))


async def lock_own(connection: Connection) -> None:
    """Nobody reads or writes anything from here on."""
    tables = sql.SQL(", ").join(sql.Identifier(*name) for name in await tables_of(connection, "="))
    await connection.execute(sql.SQL("lock table {} in access exclusive mode").format(tables))


async def tables_of(connection: Connection, whose: LiteralString) -> list[tuple[str, str]]:
    """Schema and name of what the migrations made (`=`), or of what others did (`<>`); what is of views comes first."""
    query = sql.SQL(
        """select schemaname, tablename from pg_tables
            where schemaname in ('rollbook', 'rollbook_views') and tableowner {}
                  (select tableowner from pg_tables where schemaname = 'rollbook' and tablename = 'events')
            order by schemaname desc, tablename"""
    )
    return await (await connection.execute(query.format(sql.SQL(whose)))).fetchall()


async def clear(connection: Connection) -> None:
    """Takes away the log and all that follows from it, after `seize`; triggers refuse to delete from it, so its
    partitions go. Which store and epoch it was stays."""
    for name in await partitions(connection):
        await connection.execute(sql.SQL("drop table {}").format(table(name)))
    names = [name for name in await tables_of(connection, "=") if name[1] not in ("events", "identity")]
    tables = sql.SQL(", ").join(sql.Identifier(*name) for name in names)
    async with unprotected(connection):
        await connection.execute(sql.SQL("truncate {}").format(tables))


@asynccontextmanager
async def unprotected(connection: Connection) -> AsyncIterator[None]:
    """Meanwhile the owner may take away checkpoints, which nobody else ever may."""
    tables = [sql.Identifier("rollbook", name) for name in ("sealed_checkpoints", "checkpoint_heads")]
    for one in tables:
        await connection.execute(sql.SQL("alter table {} disable trigger user").format(one))
    yield
    for one in tables:
        await connection.execute(sql.SQL("alter table {} enable trigger user").format(one))


async def fill(connection: Connection, archive: Archive, progress: Progress) -> None:
    """Makes the partitions that are needed, and one for what comes, and copies all parts in."""
    before = 0
    for number in range(archive.manifest.last_position // PARTITION + 2):
        await connection.execute("select rollbook.add_partition(%s)", [number * PARTITION])
    for part in archive.manifest.parts:
        await copy_in(connection, archive, part, counting(before, archive.manifest.rows, progress))
        before += part.rows
    # Lines that come are to stand behind those that are there.
    await connection.execute(
        """select setval(pg_get_serial_sequence('rollbook.job_logs', 'number'), max(number)) from rollbook.job_logs"""
    )
    # An older backup knows no webhooks; its log is followed for them from its beginning.
    await connection.execute("insert into rollbook.webhook_progress (position) values (0) on conflict do nothing")
    # What deliveries were is in no backup: from now on it is known again.
    await connection.execute("insert into rollbook.webhook_horizons values ('', rollbook.delivery_moment())")


async def copy_in(connection: Connection, archive: Archive, part: Part, tell: Callable[[int], None]) -> None:
    """One part; its checksum is compared again, as the file may have changed since it was verified."""
    columns = sql.SQL(", ").join(map(sql.Identifier, TABLES[part.table]))
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(table(part.table), columns)
    async with connection.cursor() as cursor:
        with archive.open(part) as stream:
            async with cursor.copy(statement) as copy:
                done = 0
                while block := stream.read(BUFFER):
                    await copy.write(block)
                    done += len(block)
                    tell(part.rows * done // part.bytes)
        if cursor.rowcount != part.rows:
            raise BackupRefused(f"{part.file} has {cursor.rowcount} rows, and should have {part.rows}")


@dataclass(frozen=True, slots=True)
class Erasures:
    """Whose keys this store knows to be destroyed: people's, and whole organisations'."""

    people: list[Any]
    organisations: list[Any]


async def erasures_here(connection: Connection) -> Erasures:
    """Those that are noted."""
    people = await connection.execute("select * from rollbook.erasures")
    organisations = await connection.execute("select * from rollbook.organisation_erasures")
    return Erasures(await people.fetchall(), await organisations.fetchall())


async def erase_again(connection: Connection, erasures: Erasures) -> int:
    """Destroys the keys that were destroyed after the backup was taken, as far as this store knows of them."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "insert into rollbook.organisation_erasures values (%s, %s, %s) on conflict do nothing",
            erasures.organisations,
        )
        await cursor.execute(
            """update rollbook.organisations o set wrapped_key = null from rollbook.organisation_erasures e
                where e.organisation = o.organisation and e.key_digest = sha256(o.wrapped_key)"""
        )
        await cursor.executemany(
            "insert into rollbook.erasures values (%s, %s, %s) on conflict do nothing", erasures.people
        )
        await cursor.execute(
            """delete from rollbook.people p using rollbook.erasures e
                where e.organisation = p.organisation and e.actor_id = p.actor_id"""
        )
        return cursor.rowcount


async def revoked_tokens(connection: Connection) -> list[str]:
    """The streams of Rollbook's own tokens that are revoked."""
    query = """select stream_id from rollbook.events
                where stream_id >= 'token-' and stream_id < 'token.' and topic = 'token.revoked'"""
    return [stream_id for (stream_id,) in await (await connection.execute(query)).fetchall()]


async def valid_again(connection: Connection, revoked: list[str]) -> list[Token]:
    """Those of the revoked tokens that the log knows as valid."""
    query = """select organisation, stream_id from rollbook.events where stream_id = any(%s)
                group by organisation, stream_id having not bool_or(topic = 'token.revoked') order by 1, 2"""
    rows = await (await connection.execute(query, [revoked])).fetchall()
    return [Token(organisation, stream_id.removeprefix("token-")) for organisation, stream_id in rows]


async def begin_epoch(connection: Connection, before: int, manifest: Manifest) -> int:
    """A number that no follower of this store has seen: at least the minutes since 1970, since a backup that is
    restored twice, into two empty databases, knows nothing of the other time."""
    epoch = max(before, manifest.epoch, int(datetime.now(UTC).timestamp()) // 60 - 1) + 1
    await connection.execute("update rollbook.identity set store_id = %s, epoch = %s", [manifest.store_id, epoch])
    await connection.execute("select pg_notify('rollbook_events', %s)", [str(manifest.last_position)])
    return epoch
