"""Real servers for the tests: one Postgres and one NATS a session, a fresh database a test."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import hypothesis
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.postgres.migrations import migrate
from adapters.settings import Settings
from entrypoints.composition import Rollbook, build
from entrypoints.workers.listening import server
from projections.read_model import table
from projections.registry import READ_MODELS

# How long an example takes says how busy the machine is, and nothing of the code. What fails once fails again.
hypothesis.settings.register_profile(
    "patient", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")
pytest_plugins = ["tests.sharing"]
TEMPLATE = "migrated"
# How a database is copied for a test: file by file, in a third of the time that it takes through the log.
AT_ONCE = "strategy file_copy"
# Nobody speaks TLS to these servers, and reading the certificates of all authorities takes a while.
UNASKED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
numbers = count(1)
reserved: list[socket.socket] = []


def reserved_port() -> int:
    """A port for one server, or for nobody: until the tests end no other who asks for any port is given it."""
    held = socket.socket()
    # Who says so too, as servers do, may listen there meanwhile.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    reserved.append(held)
    return int(held.getsockname()[1])


class Background:
    """An event loop in a thread, for servers that outlive a test's loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work: Any) -> Any:
        """What the coroutine answers, within two minutes."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    def close(self) -> None:
        """Ends the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    """Where the session's servers are watched."""
    running = Background()
    yield running
    running.close()


@pytest.fixture(scope="session")
def postgres(background: Background) -> Iterator[EmbeddedPostgres]:
    """A real Postgres; only its flushing is off, and passwords are quick to prove, for speed."""
    speed = {"fsync": "off", "scram_iterations": "1"}
    with open_folder("postgres") as folder:
        running = EmbeddedPostgres(folder, reserved_port(), {**speed, "shared_buffers": "64MB"})
        background.run(running.start())
        yield running
        background.run(running.stop())


@pytest.fixture(scope="session")
def nats_server(background: Background) -> Iterator[EmbeddedNats]:
    """A real nats-server."""
    with running_nats(background) as running:
        yield running


@contextmanager
def running_nats(background: Background) -> Iterator[EmbeddedNats]:
    """A nats-server of somebody's own."""
    with open_folder("nats") as folder:
        running = EmbeddedNats(folder, reserved_port())
        background.run(running.start())
        yield running
        background.run(running.stop())


@contextmanager
def open_folder(name: str) -> Iterator[Path]:
    """A folder that servers reach who run as an ordinary user; pytest's own are closed to them."""
    with TemporaryDirectory(prefix=f"rollbook-{name}-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@dataclass(frozen=True)
class Database:
    """A fresh, migrated database."""

    name: str
    owner_url: str
    app_url: str
    admin_url: str


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """A migrated database that others are copied from."""
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {TEMPLATE} owner rollbook_owner".encode())
    with psycopg.connect(postgres.url("postgres", TEMPLATE), autocommit=True) as admin:
        admin.execute("create extension btree_gist")
    asyncio.run(migrate(postgres.url("rollbook_owner", TEMPLATE), "rollbook_app"))
    return TEMPLATE


@pytest.fixture
def database(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A database of this test's own."""
    with fresh_database(postgres, template) as made:
        yield made


@contextmanager
def fresh_database(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A copy of the template, dropped afterwards."""
    name = f"test_{next(numbers)}"
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} owner rollbook_owner {AT_ONCE}".encode())
    urls = {
        role: make_conninfo(postgres.url(role), dbname=name) for role in ("rollbook_owner", "rollbook_app", "postgres")
    }
    yield Database(name, urls["rollbook_owner"], urls["rollbook_app"], urls["postgres"])
    with psycopg.connect(postgres.admin_url, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)".encode())


@dataclass
class Running:
    """Rollbook, answering on a port of its own, with its projector."""

    url: str
    client: httpx2.AsyncClient
    app: Rollbook


def settings_for(tmp_path: Path, **changes: Any) -> Settings:
    """The settings of a test; nothing of the machine's environment counts, nor how busy it is."""
    patient = {"auth_enabled": False, "read_wait_ms": 15_000, "_env_file": None}
    facts: dict[str, Any] = {**patient, "data_dir": tmp_path / "data", **changes}
    return Settings(**facts)


@pytest.fixture
async def rollbook(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """A whole Rollbook without authentication: the caller is an administrator of the organisation it names."""
    async with running_rollbook(settings_for(tmp_path), database) as running:
        yield running


async def has_tables(app: Rollbook) -> bool:
    """Whether the projector has made every table that is read from; before that the answer is a 503."""
    query = "select count(*) from pg_tables where schemaname = 'rollbook_views' and tablename = any(%s)"
    async with app.pools.projector.connection() as connection:
        row = await (await connection.execute(query, [[table(model) for model in READ_MODELS]])).fetchone()
    return row == (len(READ_MODELS),)


class running_rollbook:
    """Starts the API and the projector in this loop, and ends both."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Running:
        app = await build(self.settings, self.database.app_url)
        self.stack.push_async_callback(app.close)
        stop = asyncio.Event()
        projecting = asyncio.create_task(app.projector().run(stop))
        patience = (5, self.settings.max_head_bytes, self.settings.request_timeout_seconds)
        listening = server(app.api(), "127.0.0.1", 0, *patience, app.feed.drain)
        serving = asyncio.create_task(listening.serve())

        async def end() -> None:
            listening.should_exit = True
            await asyncio.wait_for(serving, 10)
            stop.set()
            app.log.wake(0)  # Who waits for the log to grow hears at once that it is to stop.
            await asyncio.wait_for(projecting, 10)

        self.stack.push_async_callback(end)
        while not listening.started:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            while not await has_tables(app):
                await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{listening.servers[0].sockets[0].getsockname()[1]}"
        client = await self.stack.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=20, verify=UNASKED))
        return Running(url, client, app)

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()
