"""Real servers of other kinds and versions, as `make test-servers` installs them; without them tests are skipped."""

import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import asyncmy
import asyncmy.errors
import psycopg
import pytest
from pymongo import MongoClient
from secantus import SecantusDBServer  # type: ignore[import-untyped]

from adapters.embedded.process import Child, free_port, run_once
from adapters.embedded.user import NOBODY, is_root
from tests.conftest import Background, open_folder

PATHS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
SYSTEM_TABLES = [
    Path("/usr/share/mysql") / name for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
]
START_SECONDS = 60.0
numbers = count()
POSTGRES_SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
MARIADB_SETTINGS = {
    "bind-address": "127.0.0.1",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "32M",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "skip-log-bin": "1",
    "skip-name-resolve": "1",
    "performance-schema": "0",
}


@dataclass(frozen=True, slots=True)
class MariaDb:
    """A server that runs. `folder` holds its data."""

    port: int
    folder: Path
    password: str = field(repr=False)
    user: str = "root"

    @property
    def socket(self) -> str:
        """Where it also listens."""
        return str(self.folder / "socket")

    def url(self, database: str = "") -> str:
        """The DSN of a database in it."""
        return f"mysql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    @asynccontextmanager
    async def connected(self, database: str | None = None) -> AsyncIterator[Any]:
        """A connection of the driver's own, for what a test does to the database."""
        connection = await asyncmy.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            autocommit=True,
            connect_timeout=2,
        )
        try:
            yield connection
        finally:
            await connection.ensure_closed()


@dataclass(frozen=True, slots=True)
class Shop:
    """A database in it, for one test."""

    server: MariaDb
    name: str

    @property
    def dsn(self) -> str:
        """Its address."""
        return self.server.url(self.name)

    async def run(self, *scripts: str) -> None:
        """Runs statements, which end with a semicolon."""
        async with self.server.connected(self.name) as connection:
            for script in scripts:
                for statement in filter(str.strip, script.split(";")):
                    await connection.query(statement)

    async def rows(self, query: str) -> list[Any]:
        """What a query answers."""
        async with self.server.connected(self.name) as connection, connection.cursor() as cursor:
            await cursor.execute(query)
            return list(await cursor.fetchall())

    async def reader(self) -> "Shop":
        """The same for a user who may only read."""
        user = f"reader_of_{self.name}"
        await self.run(
            f"create user {user}@127.0.0.1 identified by '{self.server.password}'",
            f"grant select on {self.name}.* to {user}@127.0.0.1",
        )
        return replace(self, server=replace(self.server, user=user))


@dataclass(frozen=True, slots=True)
class Postgres15:
    """A PostgreSQL 15 that runs."""

    port: int
    password: str = field(repr=False)

    def url(self, database: str = "postgres") -> str:
        """The DSN of a database in it, as superuser."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        """The superuser's own database."""
        return self.url()


@pytest.fixture(scope="session")
def mariadb(background: Background) -> Iterator[MariaDb]:
    """MariaDB as Debian has it, with a folder of its own."""
    program = shutil.which("mariadbd", path=PATHS)
    if program is None or not SYSTEM_TABLES[0].exists():
        pytest.skip("needs mariadbd: make test-servers")
    with open_folder("mariadb") as folder:
        own(folder)
        server = MariaDb(free_port(), folder, secrets.token_urlsafe(12))
        child = background.run(started_mariadb(server, program))
        try:
            yield server
        finally:
            background.run(child.stop())


@pytest.fixture
async def maria_shop(mariadb: MariaDb) -> AsyncIterator[Shop]:
    """A database of a user's, empty."""
    async with fresh(mariadb) as shop:
        yield shop


@pytest.fixture
async def maria_other(mariadb: MariaDb) -> AsyncIterator[Shop]:
    """Another one."""
    async with fresh(mariadb) as shop:
        yield shop


@asynccontextmanager
async def fresh(server: MariaDb) -> AsyncIterator[Shop]:
    """A database for a test."""
    name = f"shop_{next(numbers)}"
    async with server.connected() as admin:
        await admin.query(f"create database {name} character set utf8mb4")
        yield Shop(server, name)
        await admin.query(f"drop database {name}")


@dataclass(frozen=True, slots=True)
class Mongo:
    """A server that speaks MongoDB's protocol."""

    uri: str

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """A database for a test; its DSN."""
        name = f"shop_{next(numbers)}"
        yield f"{self.uri}{name}"
        with MongoClient[Any](self.uri) as client:
            client.drop_database(name)


@pytest.fixture(scope="session")
def mongo() -> Iterator[Mongo]:
    """SecantusDB, which has transactions as a replica set of one does."""
    with open_folder("mongo") as folder, SecantusDBServer(storage_path=str(folder), cache_size="64M") as server:
        yield Mongo(server.uri)


@pytest.fixture(scope="session")
def mongo_alone() -> Iterator[Mongo]:
    """Another one, which calls itself a server that stands alone: no snapshots, no transactions."""
    with (
        open_folder("mongo") as folder,
        SecantusDBServer(storage_path=str(folder), cache_size="64M", replica_set_name=None) as server,
    ):
        yield Mongo(server.uri)


@pytest.fixture
def mongo_shop(mongo: Mongo) -> Iterator[str]:
    """A database of a user's, empty; its DSN."""
    with mongo.fresh() as dsn:
        yield dsn


@pytest.fixture
def mongo_other(mongo: Mongo) -> Iterator[str]:
    """Another one."""
    with mongo.fresh() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def postgres_15(background: Background) -> Iterator[Postgres15]:
    """PostgreSQL 15 as Debian has it, with a folder of its own."""
    if not (POSTGRES_15 / "initdb").exists():
        pytest.skip("needs PostgreSQL 15: make test-servers")
    with open_folder("postgres-15") as folder:
        own(folder)
        server = Postgres15(free_port(), secrets.token_urlsafe(12))
        child = background.run(started_postgres(server, folder))
        try:
            yield server
        finally:
            background.run(child.stop())


def own(folder: Path) -> None:
    """Gives the folder to the user that the servers run as."""
    if is_root():
        os.chown(folder, NOBODY, NOBODY)


async def started_mariadb(server: MariaDb, program: str) -> Child:
    """Makes its data and starts it, with root's password set before anybody can reach it."""
    data, script = server.folder / "data", server.folder / "start.sql"
    tables = [path.read_text() for path in SYSTEM_TABLES]
    script.write_text("\n".join(["create database mysql;\nuse mysql;\nset @auth_root_socket = null;", *tables]))
    data.mkdir()
    own(data)
    # The installer does no more than this, and needs programs of the client for it.
    shell = 'exec "$0" --no-defaults --bootstrap --datadir="$1" <"$2"'
    await run_once("/bin/sh", "-c", shell, program, str(data), str(script), cwd="/")
    known = f"identified by '{server.password}'"
    script.write_text(
        f"alter user root@localhost {known};\n"
        f"create or replace user root@127.0.0.1 {known};\n"
        "grant all on *.* to root@127.0.0.1 with grant option;\n"
    )
    options = [f"--{name}={value}" for name, value in MARIADB_SETTINGS.items()]
    places = [f"--datadir={data}", f"--socket={server.socket}", f"--port={server.port}", f"--init-file={script}"]
    child = Child("MariaDB", [program, "--no-defaults", *places, *options], server.folder / "log", signal.SIGTERM)
    child.death_signal = signal.SIGKILL

    async def answers() -> bool:
        try:
            async with server.connected():
                return True
        except asyncmy.errors.MySQLError:
            return False

    await child.start(answers, START_SECONDS)
    return child


async def started_postgres(server: Postgres15, folder: Path) -> Child:
    """Makes its data and starts it."""
    data, password = folder / "data", folder / "password"
    password.write_text(server.password)
    choices = ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    await run_once(str(POSTGRES_15 / "initdb"), "-D", str(data), "-U", "postgres", *choices, named=True, cwd="/")
    options = [f"--{name}={value}" for name, value in POSTGRES_SETTINGS.items()]
    command = [str(POSTGRES_15 / "postgres"), "-D", str(data), f"--port={server.port}", *options]
    child = Child("PostgreSQL 15", command, folder / "log", signal.SIGINT)
    child.death_signal = signal.SIGQUIT

    async def answers() -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(server.admin_url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    await child.start(answers, START_SECONDS)
    return child
