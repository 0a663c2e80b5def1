"""One process: starts the parts that were asked for, serves until it is told to stop, and drains."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import TypeVar

import structlog
from psycopg.conninfo import conninfo_to_dict

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from adapters.keyring import present_key
from adapters.postgres.master_keys import refuse_other_key
from adapters.postgres.migrations import migrate, refuse_missing_schema
from adapters.postgres.pools import refuse_powerful_role
from adapters.reachability import named
from adapters.settings import Settings
from adapters.tracing import configure_tracing, stop_tracing
from entrypoints.composition import Rollbook, build
from entrypoints.http.management import management_app
from entrypoints.workers.condition import Condition
from entrypoints.workers.followers import Followers
from entrypoints.workers.listening import Server, bound, close, open_more_files, port_of, server

log = structlog.get_logger()
ALL = frozenset({"serve", "project", "relay", "work"})
FOLLOWERS_SECONDS = 2.0
T = TypeVar("T")


class Process:
    """Runs some of the parts in one event loop: serve (the API), project, relay, work (housekeeping)."""

    def __init__(self, settings: Settings, parts: frozenset[str] = ALL) -> None:
        self.settings = settings
        self.parts = parts
        self.stop, self.drained = asyncio.Event(), asyncio.Event()
        self.ports: dict[str, int] = {}
        self.ended = False
        self.restored = False
        self.rollbook: Rollbook | None = None
        self.broker: EmbeddedNats | None = None
        self.condition: Condition | None = None

    async def run(self, announce: Callable[[], None] | None = None) -> None:
        """Returns after SIGTERM, SIGINT or SIGHUP, when everything in flight has finished."""
        self.hear_signals()
        open_more_files()
        for sockets in [bound(*address) for address in self.addresses()]:
            close(sockets)
        configure_tracing(self.settings.otel_exporter_otlp_endpoint)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, stop_tracing)
            urls = await self.unless_stopped(self.servers(stack))
            while urls and await self.live_through_an_epoch(*urls, announce):
                announce = None

    def hear_signals(self) -> None:
        """Ctrl-C, `kill` and a terminal that closes end it; nohup's SIGHUP stays ignored."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:
                asyncio.get_running_loop().add_signal_handler(number, self.end)

    def addresses(self) -> list[tuple[str, str, int]]:
        """Where it listens: the beginning of the settings' names, host, port. The management comes first."""
        s = self.settings
        api = [("API", s.api_host, s.api_port)] if "serve" in self.parts else []
        return [("MANAGEMENT", s.management_host, s.management_port), *api]

    async def unless_stopped(self, work: Coroutine[None, None, T]) -> T | None:
        """What the work gives; None when it is told to stop before."""
        working, stopping = asyncio.create_task(work), asyncio.create_task(self.stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return None

    def end(self) -> None:
        """Lets it drain and end."""
        if not self.ended:
            log.info("process.ending", parts=sorted(self.parts))
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
        self.restored, self.stop, self.drained = False, asyncio.Event(), asyncio.Event()
        return True

    async def watch_epoch(self) -> None:
        """Ends when the store has another epoch."""
        assert self.rollbook is not None
        self.restored = await self.rollbook.log.until_another(self.rollbook.identity, self.drained)

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
            await self.prepare(owner_url, user_of(database_url))
        with named("DATABASE_URL" if s.database_url else "The Postgres in DATA_DIR"):
            await refuse_powerful_role(database_url)
            await refuse_missing_schema(database_url)
        if s.nats_url is not None:
            return database_url, s.nats_url.get_secret_value()
        if s.database_url is None or "relay" in self.parts:
            self.broker = await stack.enter_async_context(EmbeddedNats(s.data_dir))
            return database_url, self.broker.url
        return database_url, ""

    async def prepare(self, owner_url: str, app_role: str) -> None:
        """What only the owner of the tables can do and see."""
        s = self.settings
        secret = s.master_key.get_secret_value() if s.master_key else None
        with named("DATABASE_OWNER_URL" if s.database_url else "The Postgres in DATA_DIR"):
            await migrate(owner_url, app_role)
            await refuse_other_key(owner_url, present_key(secret, s.data_dir))

    def tasks(self, nats_url: str) -> list[Awaitable[None]]:
        """What runs beside the servers."""
        assert self.rollbook is not None
        followers = Followers(self.rollbook, self.parts, nats_url, self.broker, self.drained)
        found = followers.all()
        self.condition = Condition(self.rollbook, self.parts, followers.projector, followers.relay)
        if self.condition.reads:
            found.append(self.condition.be_seen(self.drained))
        return found

    async def serve(self, followers: list[Awaitable[None]], announce: Callable[[], None] | None) -> None:
        """Serves until told to stop, or until a part of it fails."""
        running = [asyncio.ensure_future(follower) for follower in followers]
        servers, serving = self.listen()
        announcing = asyncio.create_task(self.wait_ready(announce))
        stopping = asyncio.create_task(self.stop.wait())
        await asyncio.wait([stopping, *running, *serving], return_when=asyncio.FIRST_COMPLETED)
        for task in (announcing, stopping):
            task.cancel()
        await self.drain(servers, serving, running)

    def listen(self) -> tuple[list[Server], list[asyncio.Task[None]]]:
        """Starts the servers."""
        assert self.rollbook is not None
        assert self.condition is not None
        s = self.settings
        apps = [server(management_app(self.readiness, self.condition.measure), s.management_host, s.management_port, 1)]
        if "serve" in self.parts:
            patience = (s.drain_seconds, s.max_head_bytes, s.request_timeout_seconds)
            apps.append(server(self.rollbook.api(), s.api_host, s.api_port, *patience, self.rollbook.feed.drain))
        sockets = [bound(*address) for address in self.addresses()]
        self.ports = {name: port_of(one) for (name, _, _), one in zip(self.addresses(), sockets, strict=True)}
        pairs = zip(apps, sockets, strict=True)
        return apps, [asyncio.create_task(app.serve(sockets=one)) for app, one in pairs]

    async def drain(
        self, servers: Sequence[Server], serving: Sequence[Awaitable[None]], running: Sequence[asyncio.Future[None]]
    ) -> None:
        """The API drains first, for its requests may wait for the followers; these end then.

        What is left of DRAIN_SECONDS is for jobs that undo what they began.
        """
        until = monotonic() + self.settings.drain_seconds
        for one in servers:
            one.should_exit = True
        served = await asyncio.gather(*serving, return_exceptions=True)
        self.drained.set()
        if running:
            await asyncio.wait(running, timeout=max(FOLLOWERS_SECONDS, until - monotonic()))
        for follower in running:
            follower.cancel()
        for outcome in [*served, *await asyncio.gather(*running, return_exceptions=True)]:
            if isinstance(outcome, Exception):
                raise outcome

    async def wait_ready(self, announce: Callable[[], None] | None) -> None:
        """Announces once everything answers, unless it is told to stop before."""
        while not self.stop.is_set():
            failing, _ = await self.readiness()
            if not failing:
                log.info(
                    "process.ready", parts=sorted(self.parts), **{name.lower(): at for name, at in self.ports.items()}
                )
                if announce:
                    announce()
                return
            await asyncio.sleep(0.05)

    async def readiness(self) -> tuple[dict[str, str], dict[str, str]]:
        """What fails, and what is merely degraded."""
        assert self.condition is not None
        return await self.condition.readiness()


def user_of(url: str) -> str:
    """The role that a database URL logs in as."""
    return str(conninfo_to_dict(url).get("user", "rollbook_app"))
