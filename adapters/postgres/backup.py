"""Takes a backup: one moment of the log, its keys and its commands, streamed out while everything goes on."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

from psycopg import AsyncConnection, sql

from adapters import keyring
from adapters.postgres import backup_blobs
from adapters.postgres.backup_archive import MANIFEST, MASTER_KEY, BackupRefused, PartWriter, add_file, new_zip
from adapters.postgres.backup_manifest import TABLES, BlobPart, Manifest, Part
from adapters.postgres.master_keys import opens

CONNECT_SECONDS = 10
Connection = AsyncConnection[Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was taken: where it lies, how many bytes it has, what it holds."""

    path: Path
    size: int
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Moment:
    """What the snapshot shows of the log; its partitions by name, in order."""

    store_id: Any
    epoch: int
    last_position: int
    last_recorded_at: datetime | None
    taken_at: datetime
    partitions: list[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes into a backup beside the rows: the master key, None when it is not known here, and only `with_key`;
    the blobs of these stores."""

    key: bytes | None
    with_key: bool
    stores: backup_blobs.Stores


async def take(owner_url: str, target: Path, wanted: Wanted, progress: Progress, blob_progress: Progress) -> Backup:
    """Writes a backup to a new file, or to a new name in a folder; it is there whole and on disk, or not at all.

    `progress` is told how many rows are done, of about how many. Nobody waits for it: no lock is held that an append
    could meet.
    """
    async with connected(owner_url, "rollbook backup") as connection, snapshot(connection) as moment:
        if wanted.key and not await opens(connection, wanted.key):
            raise BackupRefused("The master key here is not the one of this store: set MASTER_KEY to that")
        path = target_path(target, moment)
        with new_file(path) as file:
            manifest = await write(connection, moment, file, wanted, (progress, blob_progress))
            size = file.tell()
    return Backup(path, size, manifest)


@asynccontextmanager
async def connected(owner_url: str, name: str) -> AsyncIterator[Connection]:
    """A connection as the owner, who alone may read keys; others see it by its name."""
    async with await AsyncConnection.connect(
        owner_url, connect_timeout=CONNECT_SECONDS, application_name=name, autocommit=True
    ) as connection:
        yield connection


@asynccontextmanager
async def snapshot(connection: Connection) -> AsyncIterator[Moment]:
    """One moment, from which everything within is read. An append is one transaction, so no commit is cut."""
    async with connection.transaction():
        await connection.execute("set transaction isolation level repeatable read, read only")
        yield await look(connection)


async def look(connection: Connection) -> Moment:
    """Reads partition by partition: a lock on the whole table would hold up the append that adds a partition."""
    names = await partitions(connection)
    position, at = 0, None
    for name in names:
        last = sql.SQL("select position, recorded_at from {} order by position desc limit 1").format(table(name))
        if row := await (await connection.execute(last)).fetchone():
            position, at = row
    row = await (await connection.execute("select store_id, epoch from rollbook.identity")).fetchone()
    assert row is not None
    return Moment(row[0], row[1], position, at and at.astimezone(UTC), datetime.now(UTC), names)


async def partitions(connection: Connection) -> list[str]:
    """The parts of the log by name, in order."""
    query = """select relname from pg_inherits join pg_class on oid = inhrelid
                where inhparent = 'rollbook.events'::regclass order by relname"""
    return [str(name) for (name,) in await (await connection.execute(query)).fetchall()]


def table(name: str) -> sql.Identifier:
    """A table of the log's schema."""
    return sql.Identifier("rollbook", name)


async def write(
    connection: Connection,
    moment: Moment,
    file: BinaryIO,
    wanted: Wanted,
    progress: tuple[Progress, Progress],
) -> Manifest:
    """Writes all parts, then the manifest that vouches for them."""
    parts: list[Part] = []
    with new_zip(file) as zip_file:
        for source, name in sources(moment):
            before = sum(part.rows for part in parts)
            tell = counting(before, moment.last_position, progress[0])
            parts.append(await copy_out(connection, zip_file, source, name, tell))
        blobs = await backup_blobs.copy_out(zip_file, wanted.stores, progress[1])
        manifest = manifest_of(moment, parts, blobs, wanted)
        if wanted.with_key and wanted.key:
            add_file(zip_file, MASTER_KEY, keyring.encoded(wanted.key))
        add_file(zip_file, MANIFEST, manifest.encoded())
    return manifest


def sources(moment: Moment) -> Iterator[tuple[str, str]]:
    """What is read, and the table that it belongs to."""
    yield from ((name, "events") for name in moment.partitions)
    yield from ((name, name) for name in TABLES if name != "events")


def counting(before: int, total: int, progress: Progress) -> Callable[[int], None]:
    """Tells the progress of one part as that of all."""
    return lambda rows: progress(before + rows, max(total, before + rows))


async def copy_out(
    connection: Connection, zip_file: ZipFile, source: str, name: str, tell: Callable[[int], None]
) -> Part:
    """Copies one table, or one partition, in order; memory does not grow with it."""
    columns = sql.SQL(", ").join(map(sql.Identifier, TABLES[name]))
    query = sql.SQL("copy (select {} from {} order by {}) to stdout (format binary)")
    statement = query.format(columns, table(source), sql.Identifier(TABLES[name][0]))
    seen = 0
    async with connection.cursor() as cursor:
        with zip_file.open(f"{source}.copy", "w", force_zip64=True) as stream:
            writer = PartWriter(stream)
            async with cursor.copy(statement) as copy:
                async for block in copy:
                    writer.write(block)
                    seen += 1
                    if seen % 1000 == 0:
                        tell(seen)
            tell(cursor.rowcount)
            return writer.part(name, cursor.rowcount, f"{source}.copy")


def manifest_of(moment: Moment, parts: list[Part], blobs: tuple[BlobPart, ...], wanted: Wanted) -> Manifest:
    """What the backup says of itself."""
    return Manifest(
        rollbook=version("rollbook"),
        store_id=moment.store_id,
        epoch=moment.epoch,
        last_position=moment.last_position,
        last_recorded_at=moment.last_recorded_at,
        taken_at=moment.taken_at,
        key_id=keyring.key_id(wanted.key) if wanted.key else None,
        key_included=bool(wanted.with_key and wanted.key),
        parts=parts,
        blobs=blobs,
    )


def target_path(target: Path, moment: Moment) -> Path:
    """The file to write: in a folder, one whose name tells the moment; BackupRefused when it is there already."""
    if target.is_dir():
        target = target / f"rollbook-{moment.taken_at:%Y%m%dT%H%M%SZ}-{moment.epoch}-{moment.last_position}.zip"
    if os.path.lexists(target):
        raise there_already(target)
    return target


def there_already(path: Path) -> BackupRefused:
    """What to tell."""
    return BackupRefused(f"{path} is there already; a backup overwrites nothing")


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that only its owner may read, under another name until it is whole and on disk."""
    partial: str | None = None
    try:
        number, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        with open(number, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        give_name(partial, path)
    except OSError as problem:
        raise BackupRefused(f"{path} cannot be written: {problem.strerror or problem}") from None
    finally:
        if partial is not None:
            Path(partial).unlink(missing_ok=True)


def give_name(partial: str, path: Path) -> None:
    """Puts a whole file in its place, unless somebody has put one there meanwhile; survives a loss of power."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise there_already(path) from None
    except OSError:
        # Some file systems know no links.
        Path(partial).rename(path)
    number = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
