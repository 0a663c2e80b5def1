"""A Postgres of our own: scram over loopback, durable, under DATA_DIR."""

import os
import select
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from adapters.embedded.folder import Door, Folder, refusals_in_words
from adapters.embedded.process import CannotStart, Child, run_once
from adapters.embedded.programs import HOME, POSTGRES
from adapters.embedded.user import NOBODY, borrowed_name, is_root

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
RECOVERY_SECONDS = 300.0
OWNER, APP, ADMIN, DATABASE = "rollbook_owner", "rollbook_app", "postgres", "rollbook"


class EmbeddedPostgres:
    """Starts with its data, or makes them. `admin_url` is for whoever must act as superuser; the processes never do."""

    def __init__(self, data_dir: Path, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.folder = Folder(data_dir)
        self.wanted_port = port
        self.settings = {**SETTINGS, **(settings or {})}
        self.port = 0
        self.child: Child | None = None
        self.door: Door | None = None

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
            self.door = Door(home)
            programs = POSTGRES.place() / HOME / "bin"
            if not (home / "data" / "PG_VERSION").exists():
                await self.make(home, self.door, programs / "initdb")
            self.port = self.folder.port("postgres", self.wanted_port)
            self.child = self.server(home, self.door, programs / "postgres")
            await self.child.start(self.answers, RECOVERY_SECONDS)
            await self.prepare()
        except BaseException:
            await self.stop()
            raise

    def server(self, home: Path, door: Door, program: Path) -> Child:
        """The server, not started yet; when we die it dies at once, and recovers at the next start."""
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        command = [str(program), "-D", f"{door.path}/data", f"--port={self.port}", *options]
        child = Child("Postgres", command, self.folder.path / "postgres.log", signal.SIGINT)
        child.death_signal = signal.SIGQUIT
        child.descriptors = door.descriptors
        child.before_start = lambda: clear_the_way((home / "data").resolve())
        return child

    async def make(self, home: Path, door: Door, program: Path) -> None:
        """Initialises the data; what an interrupted start left is made again."""
        new, password = home / "data.new", home / "password"
        shutil.rmtree(new, ignore_errors=True)
        with refusals_in_words(self.folder.path):
            with open(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(self.folder.secret(ADMIN))
            if is_root():
                os.chown(password, NOBODY, NOBODY)
        command = [str(program), "-D", f"{door.path}/data.new", "-U", ADMIN, f"--pwfile={door.path}/password"]
        choices = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
        name = borrowed_name(home, door.path)
        environment = {**os.environ, "HOME": door.path, **name}
        try:
            await run_once(*command, *choices, named=not name, cwd="/", env=environment, pass_fds=door.descriptors)
        finally:
            password.unlink()
        new.rename(home / "data")

    async def answers(self) -> bool:
        """Whether it lets us in; CannotStart when it never will."""
        try:
            async with await psycopg.AsyncConnection.connect(self.url(ADMIN, "postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError as refusal:
            if "password authentication failed" in str(refusal):
                secrets = self.folder.path / "secrets"
                raise CannotStart(f"The passwords in {secrets} are not those of the data beside it") from None
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
        if self.door is not None:
            self.door.close()
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
