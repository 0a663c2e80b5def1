"""Finds the store to back up or to restore, and the master key that belongs to it."""

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from adapters import keyring
from adapters.blobs.choosing import blobs_of, log_blobs_of
from adapters.embedded.postgres import APP, OWNER, EmbeddedPostgres
from adapters.embedded.process import CannotStart
from adapters.embedded.running import running_url
from adapters.postgres import backup, backup_blobs, backup_restore
from adapters.postgres.backup import CONNECT_SECONDS, Backup, Progress, Wanted
from adapters.postgres.backup_archive import Archive, BackupRefused, opened
from adapters.postgres.backup_blobs import Stores
from adapters.postgres.backup_manifest import Manifest
from adapters.postgres.backup_restore import Restored, Wish
from adapters.postgres.migrations import migrate
from adapters.reachability import in_words
from adapters.settings import Settings
from domain.errors import StorageFull, Unavailable

Phase = Callable[[str], Progress]


async def take(settings: Settings, target: Path, with_key: bool, with_blobs: bool, phase: Phase) -> Backup:
    """A backup of the store that the settings mean, whether it runs or not."""
    if not is_there(settings):
        raise BackupRefused(f"There is no Rollbook in {settings.data_dir}: set DATA_DIR, or DATABASE_URL")
    key = key_here(settings)
    if with_key and key is None:
        raise BackupRefused("There is no master key here to put into the backup")
    with in_one_line():
        async with owned(settings) as (url, _):
            wanted = Wanted(key, with_key, stores(settings) if with_blobs else {})
            return await backup.take(url, target, wanted, phase("Copying"), phase("Copying blobs"))


def stores(settings: Settings) -> Stores:
    """Where blobs are kept, by what they are of."""
    made = (blobs_of(settings, settings.data_dir), log_blobs_of(settings, settings.data_dir))
    return {"packages": made[0], "job-logs": made[1]}


def check(path: Path, phase: Phase) -> Manifest:
    """Reads a whole backup and says what it holds; BackupRefused when it is not what was written."""
    with opened(path) as archive:
        verify(archive, phase)
        return archive.manifest


def verify(archive: Archive, phase: Phase) -> None:
    """Reads everything; BackupRefused when something is not what was written."""
    backup_restore.verify(archive, phase("Checking"))
    backup_blobs.verify(archive, phase("Checking blobs"))


async def restore(settings: Settings, path: Path, wish: Wish, phase: Phase) -> tuple[Manifest, Restored]:
    """Puts a backup into the store that the settings mean, made for it where there is none; all or nothing."""
    with opened(path) as archive, in_one_line():
        key = key_for(archive, key_here(settings), wish)
        if is_there(settings):
            async with owned(settings) as (url, _):
                await backup_restore.foresee(url, archive.manifest, wish)
        verify(archive, phase)
        async with owned(settings) as (url, app_role):
            await migrate(url, app_role)
            await backup_blobs.copy_in(archive, stores(settings), phase("Restoring blobs"))
            restored = await backup_restore.restore(
                url, archive, wish, key, phase("Restoring"), lambda: keep(settings, key)
            )
        return archive.manifest, restored


def is_there(settings: Settings) -> bool:
    """Whether there is a database already."""
    return settings.database_url is not None or (settings.data_dir / "postgres" / "data" / "PG_VERSION").exists()


@asynccontextmanager
async def owned(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """The store's address for its owner, and the role that the processes work as.

    It is the database that the settings name, else the one that runs on DATA_DIR, else one that runs for this alone.
    """
    if settings.database_url is not None:
        if settings.database_owner_url is None:
            raise BackupRefused("DATABASE_OWNER_URL is not set: only the owner may read keys and exchange the log")
        role = conninfo_to_dict(settings.database_url.get_secret_value()).get("user", APP)
        yield settings.database_owner_url.get_secret_value(), str(role)
    elif (url := running_url(settings.data_dir, OWNER)) and await answers(url):
        yield url, APP
    else:
        async with EmbeddedPostgres(settings.data_dir) as embedded:
            yield embedded.owner_url, APP


async def answers(url: str) -> bool:
    """Whether a server is there and lets us in; what an earlier run noted may be out of date."""
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=CONNECT_SECONDS):
            return True
    except psycopg.OperationalError:
        return False


@contextmanager
def in_one_line() -> Iterator[None]:
    """Says what the database says as a refusal, without its details."""
    try:
        yield
    except CannotStart as problem:
        raise Unavailable(str(problem)) from None
    except psycopg.errors.DiskFull:
        raise StorageFull("The disk of the database is full") from None
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName):
        raise BackupRefused("This database has no store of this release: let Rollbook start on it first") from None
    except psycopg.errors.InsufficientPrivilege:
        raise BackupRefused("DATABASE_OWNER_URL is not that of the owner of the store") from None
    except psycopg.Error as fault:
        raise Unavailable(f"The database: {in_words(fault)}") from None


def key_here(settings: Settings) -> bytes | None:
    """The master key of the settings or of DATA_DIR; None when there is none yet."""
    secret = settings.master_key.get_secret_value() if settings.master_key else None
    try:
        return keyring.present_key(secret, settings.data_dir)
    except ValueError:
        raise BackupRefused(f"The master key in {settings.data_dir} is damaged") from None


def key_for(archive: Archive, here: bytes | None, wish: Wish) -> bytes | None:
    """The master key that the store will have: the one that is here, which must be the backup's, else that inside."""
    inside = archive.master_key()
    if here is None:
        return None if inside is None or wish.forget_people else named_by(archive.manifest, inside)
    if archive.manifest.key_id not in (None, keyring.key_id(here)) and not wish.forget_people:
        raise BackupRefused(
            "The backup was taken under another master key than the one here: "
            "set MASTER_KEY to that, or add --forget-people"
        )
    return here


def named_by(manifest: Manifest, text: bytes) -> bytes:
    """The key that came in the archive."""
    try:
        key = keyring.checked(base64.b64decode(text, validate=True))
    except ValueError:
        raise BackupRefused("The master key in the backup is damaged") from None
    if keyring.key_id(key) != manifest.key_id:
        raise BackupRefused("The master key in the backup is not the one that its manifest names")
    return key


def keep(settings: Settings, key: bytes | None) -> None:
    """Puts the key where the processes find it, unless they have it already."""
    if key is not None and key_here(settings) is None:
        keyring.keep_key(key, settings.data_dir)
