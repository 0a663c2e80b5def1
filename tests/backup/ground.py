"""A store with the settings that find it, and what can be asked of it past the API."""

import asyncio
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from adapters.postgres.backup import Backup
from adapters.postgres.backup_manifest import TABLES, Manifest
from adapters.postgres.backup_restore import Restored, Wish
from adapters.postgres.backup_rows import rows
from adapters.settings import Settings
from entrypoints import backups
from tests.conftest import Database, settings_for
from tests.faults.load import body
from tests.queue.conftest import Queue

OVER = Wish(replace=True, while_running=True)


@dataclass
class Place:
    """A database and a DATA_DIR. `told` is what the progress said: rows done and rows in all."""

    database: Database
    data_dir: Path
    told: list[tuple[int, int]] = field(default_factory=list)

    def settings(self, **changes: Any) -> Settings:
        """What finds this store."""
        urls = {"database_url": self.database.app_url, "database_owner_url": self.database.owner_url}
        return settings_for(self.data_dir, **{**urls, "data_dir": self.data_dir, **changes})

    async def take(self, target: Path, with_key: bool = False, with_blobs: bool = True, **changes: Any) -> Backup:
        """A backup of it."""
        return await backups.take(self.settings(**changes), target, with_key, with_blobs, self.phase)

    async def restore(self, source: Path, wish: Wish = Wish(), **changes: Any) -> tuple[Manifest, Restored]:
        """Puts a backup into it."""
        return await backups.restore(self.settings(**changes), source, wish, self.phase)

    def phase(self, _: str) -> Any:
        """Notes the progress."""
        return lambda done, total: self.told.append((done, total))

    def rows(self, query: str) -> list[Any]:
        """What the database says to its superuser."""
        with psycopg.connect(self.database.admin_url) as admin:
            return admin.execute(query.encode()).fetchall()

    def change(self, statement: str) -> None:
        """What only a superuser may do to it."""
        with psycopg.connect(self.database.admin_url) as admin:
            admin.execute(statement.encode())

    def truth(self) -> dict[str, list[Any]]:
        """All that a backup holds, row by row."""
        return {
            name: self.rows(f"select {', '.join(columns)} from rollbook.{name} order by {columns[0]}, {columns[1]}")
            for name, columns in TABLES.items()
        }

    def everything(self) -> dict[str, list[Any]]:
        """Every row of every table, and which store and epoch it is."""
        tables = "select schemaname || '.' || tablename from pg_tables where schemaname like 'rollbook%'"
        names = sorted(name for (name,) in self.rows(tables) if name != "rollbook_views.uses")
        return {name: sorted(map(str, self.rows(f"select * from {name}"))) for name in names}


def quiet(_: str) -> Any:
    """A progress that nobody watches."""
    return lambda done, total: None


async def fill(queue: Queue, number: int, clients: int = 8) -> list[str]:
    """Creates deployments from several clients at once, under the keys key-0, key-1 ..., and makes every second one
    live, which skips others; answers their ids."""
    numbers = iter(range(number))
    made: list[str] = []

    async def client() -> None:
        for n in numbers:
            sent = {"json": body(n, str(n)), "headers": {"Idempotency-Key": f"key-{n}"}}
            deployment = await queue.ask("POST", "/v1/deployments", 201, **sent)
            made.append(deployment["id"])
            if n % 2:
                await queue.report(deployment, "deployed")

    await asyncio.gather(*(client() for _ in range(clients)))
    return made


def files_of(path: Path) -> dict[str, bytes]:
    """What is in an archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(files: Mapping[str, bytes], path: Path) -> Path:
    """Writes an archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def manifest_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest in an archive."""
    found: dict[str, Any] = json.loads(files["manifest.json"])
    return found


def events_in(path: Path) -> Iterator[dict[str, Any]]:
    """The events in an archive, by column, as bytes."""
    for name, content in files_of(path).items():
        if name.startswith("events_"):
            for row in rows(io.BufferedReader(io.BytesIO(content)), len(TABLES["events"])):
                yield dict(zip(TABLES["events"], row, strict=True))
