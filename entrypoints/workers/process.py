"""One process: starts the parts that were asked for, serves until it is told to stop, and drains."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext
from importlib.metadata import version
from typing import Any

import structlog
import uvicorn
from psycopg.conninfo import conninfo_to_dict

from adapters import metrics
from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.nats.relay import Relay
from adapters.postgres.migrations import migrate
from adapters.postgres.pools import refuse_powerful_role
from adapters.postgres.projector import Projector
from adapters.settings import Settings
from adapters.tracing import configure_tracing, stop_tracing
from domain.errors import RollbookError
from entrypoints.composition import Rollbook, build
from entrypoints.http.management import management_app
from entrypoints.http.protocol import bounded
from entrypoints.workers.housekeeping import Housekeeping

log = structlog.get_logger()
ALL = frozenset({"serve", "project", "relay", "work"})


class Server(uvicorn.Server):
    """A server that leaves signals to the process."""

    def capture_signals(self) -> Any:
        """Nothing: the process decides when to stop."""
        return nullcontext()


def server(
    app: Any, host: str, port: int, drain_seconds: int, head_bytes: int = 65_536, seconds: float = 30.0
) -> Server:
    """Not started yet; requests in flight get `drain_seconds` to finish when it stops.

    The head of a request may have `head_bytes` and take `seconds`.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=bounded(head_bytes, seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    return Server(config)


class Process:
    """Runs some of the parts in one event loop: serve (the API), project, relay, work (housekeeping)."""

    def __init__(self, settings: Settings, parts: frozenset[str] = ALL) -> None:
        self.settings = settings
        self.parts = parts
        self.stop = asyncio.Event()
        self.ended = False
        self.restored = False
        self.rollbook: Rollbook | None = None
        self.projector: Projector | None = None
        self.relay: Relay | None = None

    async def run(self, announce: Callable[[], None] | None = None) -> None:
        """Returns after SIGTERM or SIGINT, when everything in flight has finished."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        configure_tracing(self.settings.otel_exporter_otlp_endpoint)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, stop_tracing)
            database_url, nats_url = await self.servers(stack)
            while await self.live_through_an_epoch(database_url, nats_url, announce):
                announce = None

    def end(self) -> None:
        """Lets it drain and end."""
        self.ended = True
        self.stop.set()

    async def live_through_an_epoch(
        self, database_url: str, nats_url: str, announce: Callable[[], None] | None
    ) -> bool:
        """Serves until told to stop; or until the store was restored, True: what is remembered holds no more."""
        async with AsyncExitStack() as stack:
            self.rollbook = await build(self.settings, database_url)
            stack.push_async_callback(self.rollbook.close)
            await self.serve([*self.tasks(nats_url), self.watch_epoch()], announce)
        if self.ended or not self.restored:
            return False
        self.restored, self.stop = False, asyncio.Event()
        return True

    async def watch_epoch(self) -> None:
        """Ends when the store has another epoch."""
        assert self.rollbook is not None
        self.restored = await self.rollbook.log.until_another(self.rollbook.identity, self.stop)

    async def servers(self, stack: AsyncExitStack) -> tuple[str, str]:
        """The database and the broker: those that the settings name, else our own."""
        s = self.settings
        if s.database_url is None:
            postgres = await stack.enter_async_context(EmbeddedPostgres(s.data_dir))
            owner_url, database_url = postgres.owner_url, postgres.app_url
        else:
            database_url = s.database_url.get_secret_value()
            owner_url = s.database_owner_url.get_secret_value() if s.database_owner_url else ""
        if owner_url:
            await migrate(owner_url, user_of(database_url))
        await refuse_powerful_role(database_url)
        if s.nats_url is not None:
            return database_url, s.nats_url.get_secret_value()
        if s.database_url is None or "relay" in self.parts:
            return database_url, (await stack.enter_async_context(EmbeddedNats(s.data_dir))).url
        return database_url, ""

    def tasks(self, nats_url: str) -> list[Awaitable[None]]:
        """The followers of the log that run here."""
        assert self.rollbook is not None
        found: list[Awaitable[None]] = []
        if "project" in self.parts:
            self.projector = self.rollbook.projector()
            found.append(self.projector.run(self.stop))
        if "relay" in self.parts:
            self.relay = self.rollbook.relay(nats_url)
            found.append(self.relay.run(self.stop))
        if "work" in self.parts:
            found.append(Housekeeping(self.rollbook).run(self.stop))
        return found

    async def serve(self, followers: list[Awaitable[None]], announce: Callable[[], None] | None) -> None:
        """Serves until told to stop; the API drains first, then the followers end."""
        assert self.rollbook is not None
        s = self.settings
        servers = [server(management_app(self.readiness), s.management_host, s.management_port, 1)]
        if "serve" in self.parts:
            patience = (s.drain_seconds, s.max_head_bytes, s.request_timeout_seconds)
            servers.insert(0, server(self.rollbook.api(), s.api_host, s.api_port, *patience))
        running = [asyncio.ensure_future(f) for f in followers]
        serving = [asyncio.create_task(one.serve()) for one in servers]
        stopping = asyncio.create_task(self.stop.wait())
        await self.wait_ready(announce)
        await asyncio.wait([stopping, *running, *serving], return_when=asyncio.FIRST_COMPLETED)
        for one in servers:
            one.should_exit = True
        await asyncio.gather(*serving, return_exceptions=True)
        self.stop.set()
        await asyncio.wait([stopping, *running], timeout=s.drain_seconds)
        for follower in running:
            follower.cancel()
        for outcome in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def wait_ready(self, announce: Callable[[], None] | None) -> None:
        """Announces once everything answers, unless it is told to stop before."""
        while not self.stop.is_set():
            failing, _ = await self.readiness()
            if not failing:
                if announce:
                    announce()
                return
            await asyncio.sleep(0.05)

    async def readiness(self) -> tuple[dict[str, str], dict[str, str]]:
        """What fails, and what is merely degraded: without NATS nothing is lost, the feed waits."""
        assert self.rollbook is not None
        failing: dict[str, str] = {}
        degraded: dict[str, str] = {}
        metrics.INFO.labels(self.version()).set(1)
        try:
            head = await self.rollbook.log.head()
        except RollbookError as problem:
            failing["store"] = problem.message
        else:
            if self.projector:
                metrics.PROJECTION_LAG.set(max(0, head - self.projector.position))
        if self.relay and self.relay.problem:
            degraded["nats"] = self.relay.problem
        return failing, degraded

    def version(self) -> str:
        """The version of Rollbook that runs."""
        return version("rollbook")


def user_of(url: str) -> str:
    """The role that a database URL logs in as."""
    return str(conninfo_to_dict(url).get("user", "rollbook_app"))
