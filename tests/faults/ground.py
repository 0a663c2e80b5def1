"""A Postgres and a NATS that the test stops and starts, and Rollbooks that stand on them."""

import asyncio
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

import psutil

from adapters.embedded.nats import EmbeddedNats
from adapters.embedded.postgres import EmbeddedPostgres
from tests.faults.instance import Instance

Kind = TypeVar("Kind", bound=Instance)


class Ground:
    """Servers of their own in one folder, which is every process's DATA_DIR too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder)
        self.nats = EmbeddedNats(folder)
        self.instances: list[Instance] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.postgres)
            await stack.enter_async_context(self.nats)
            stack.push_async_callback(self.kill_instances)
            self.stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()

    async def kill_instances(self) -> None:
        """Whatever still runs."""
        for one in self.instances:
            if one.process is not None:
                await one.kill_all()

    async def start(self, part: str = "up", settings: Mapping[str, str] | None = None) -> Instance:
        """A process with this part, ready."""
        made = self.instance(Instance, part, settings)
        await made.start()
        return made

    def instance(self, kind: type[Kind], part: str, settings: Mapping[str, str] | None = None) -> Kind:
        """A process with this part that is not running yet."""
        urls = {
            "DATABASE_URL": self.postgres.app_url,
            "DATABASE_OWNER_URL": self.postgres.owner_url,
            "NATS_URL": self.nats.url,
        }
        made = kind(self.folder, part, urls | dict(settings or {}))
        self.instances.append(made)
        return made

    async def stop_postgres(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is Postgres's fast shutdown, SIGQUIT the immediate one, which recovers at the next start."""
        assert self.postgres.child is not None
        self.postgres.child.stop_signal = how
        await self.postgres.stop()

    async def wipe_nats(self) -> None:
        """Stops it and removes all that it kept."""
        await self.nats.stop()
        await asyncio.to_thread(shutil.rmtree, self.folder / "nats" / "jetstream")

    @contextmanager
    def paused(self, server: EmbeddedPostgres | EmbeddedNats) -> Iterator[None]:
        """Every process of it stands still and keeps its connections; afterwards it goes on where it stood."""
        self.signal(server, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(server, signal.SIGCONT)

    def signal(self, server: EmbeddedPostgres | EmbeddedNats, number: signal.Signals) -> None:
        """To the first process first, so that it starts no new child meanwhile."""
        assert server.child is not None and server.child.process is not None
        first = psutil.Process(server.child.process.pid)
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
