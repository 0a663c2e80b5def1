"""Restores a backup: checked whole, then put in place in one transaction, under a new epoch."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import psycopg

from adapters.postgres.backup import Connection, Progress, connected, counting
from adapters.postgres.backup_archive import Archive, BackupRefused
from adapters.postgres.backup_exchange import (
    Token,
    begin_epoch,
    clear,
    erase_again,
    erasures_here,
    fill,
    revoked_tokens,
    seize,
    valid_again,
)
from adapters.postgres.backup_manifest import TABLES, Manifest, Part
from adapters.postgres.backup_rows import Chain, rows
from adapters.postgres.master_keys import opens

Action = Callable[[], None]
EVERY = 1000
LEAVING_SECONDS = 2.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Wish:
    """What may be given up: the log that is there (`replace`), even one of `another_store`; the processes that are
    connected (`while_running`); the keys of people, when the master key is lost (`forget_people`)."""

    replace: bool = False
    another_store: bool = False
    while_running: bool = False
    forget_people: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """What stands in the database."""

    store_id: UUID
    epoch: int
    last_position: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore. `before` is what was replaced; `erased` counts keys that came back and went again;
    `valid_again` are tokens that had been revoked since the backup."""

    epoch: int
    before: Present
    erased: int
    valid_again: list[Token]


def verify(archive: Archive, progress: Progress) -> None:
    """Reads everything and raises BackupRefused unless checksums, the chain of hashes and all counts are right."""
    chain, before = Chain(), 0
    for part in archive.manifest.parts:
        verify_part(archive, part, chain, counting(before, archive.manifest.rows, progress))
        before += part.rows
    chain.end()


def verify_part(archive: Archive, part: Part, chain: Chain, tell: Callable[[int], None]) -> None:
    """One part, row by row."""
    count = 0
    with archive.open(part) as stream:
        for row in rows(stream, len(TABLES[part.table])):
            if part.table == "events":
                chain.add(row)
            count += 1
            if count % EVERY == 0:
                tell(count)
    if count != part.rows:
        raise BackupRefused(f"{part.file} has {count} rows, and should have {part.rows}")
    tell(count)


async def foresee(owner_url: str, manifest: Manifest, wish: Wish) -> None:
    """Raises BackupRefused where a restore would, as far as that can be told before everything is read."""
    async with connected(owner_url, "rollbook restore") as connection:
        if not wish.while_running:
            await refuse_company(connection)
        row = await (await connection.execute("select to_regclass('rollbook.identity')")).fetchone()
        if row and row[0]:
            refuse_loss(await look(connection), manifest, wish)


async def restore(
    owner_url: str, archive: Archive, wish: Wish, key: bytes | None, progress: Progress, before_commit: Action
) -> Restored:
    """Puts a verified backup in the place of what a migrated database holds, all or nothing, under a new epoch.

    Read models are dropped: the projector makes them again from the log. Raises BackupRefused, and then nothing has
    changed. `key` is the master key that will be used; `before_commit` is called when everything is there and may
    still raise.
    """
    async with connected(owner_url, "rollbook restore") as connection:
        if not wish.while_running:
            await refuse_company(connection)
        try:
            async with connection.transaction():
                restored = await replace(connection, archive, wish, progress)
                await refuse_closed(connection, key)
                before_commit()
        except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProtocolViolation) as problem:
            what = (problem.diag.message_primary or type(problem).__name__).splitlines()[0]
            raise BackupRefused(f"The database refuses what is in the backup: {what}") from None
        await connection.execute("analyze rollbook.events")
    return restored


async def refuse_company(connection: Connection) -> None:
    """Processes that are connected would have to start over in the middle of what they do.

    Who has just hung up, as this restore's own checks have, is given LEAVING_SECONDS to be gone for the server too.
    """
    until = monotonic() + LEAVING_SECONDS
    while company := await connected_beside(connection):
        if monotonic() > until:
            raise BackupRefused(f"Rollbook still runs on this store ({company}): stop it, or add --while-running")
        await asyncio.sleep(LOOK_SECONDS)


async def connected_beside(connection: Connection) -> str | None:
    """Which processes of ours are connected to this database."""
    query = """select string_agg(distinct application_name, ', ') from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and application_name like 'rollbook%'"""
    row = await (await connection.execute(query)).fetchone()
    return row[0] if row else None


async def refuse_closed(connection: Connection, key: bytes | None) -> None:
    """Without its master key nobody's name could be read, and nobody new could be named."""
    if await opens(connection, key):
        return
    what = "is not here" if key is None else "is another one than here"
    raise BackupRefused(f"The master key of the backup {what}: set MASTER_KEY to it, or add --forget-people")


async def look(connection: Connection) -> Present:
    """The store's name, its epoch and how far its log goes."""
    query = """select store_id, epoch, (select coalesce(max(position), 0) from rollbook.events)
                 from rollbook.identity"""
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return Present(*row)


async def replace(connection: Connection, archive: Archive, wish: Wish, progress: Progress) -> Restored:
    """The whole exchange, inside the caller's transaction; from the first lock on nobody appends or reads."""
    await seize(connection)
    before = await look(connection)
    refuse_loss(before, archive.manifest, wish)
    erasures = await erasures_here(connection)
    revoked = await revoked_tokens(connection)
    await clear(connection)
    await fill(connection, archive, progress)
    if wish.forget_people:
        await connection.execute("delete from rollbook.people")
        await connection.execute("update rollbook.organisations set wrapped_key = null")
    erased = await erase_again(connection, erasures)
    epoch = await begin_epoch(connection, before.epoch, archive.manifest)
    return Restored(epoch, before, erased, await valid_again(connection, revoked))


def refuse_loss(before: Present, manifest: Manifest, wish: Wish) -> None:
    """Nobody's log goes by accident."""
    if not before.last_position:
        return
    if not wish.replace:
        raise BackupRefused(f"The store has {before.last_position} events already: --replace gives them up")
    if before.store_id != manifest.store_id and not wish.another_store:
        raise BackupRefused(
            f"The backup is of store {manifest.store_id}, and here is store {before.store_id}: "
            "--another-store gives this one up for it"
        )
