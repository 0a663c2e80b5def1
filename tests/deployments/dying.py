"""A server of users' that is killed and started again, and the moments to do so."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psutil
import psycopg

from adapters.embedded.postgres import EmbeddedPostgres
from tests.conftest import Background
from tests.deployments.conftest import Shop, rows

T = TypeVar("T")
AT_WORK = "select pid from pg_stat_activity where application_name like 'rollbook%' and datname = current_database()"
WAITS = f"{AT_WORK} and wait_event_type = 'Lock'"


class Server:
    """A Postgres that is not Rollbook's own."""

    def __init__(self, postgres: EmbeddedPostgres, background: Background) -> None:
        self.postgres = postgres
        self.background = background

    def die(self) -> None:
        """kill -9 of all of its processes at once; nobody starts it again by himself."""
        assert self.postgres.child is not None and self.postgres.child.process is not None
        first = psutil.Process(self.postgres.child.process.pid)
        everybody = [first, *first.children(recursive=True)]
        self.postgres.child.stop_signal = signal.SIGKILL
        self.background.run(self.postgres.stop())
        for process in everybody:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        assert not psutil.wait_procs(everybody, 10)[1]

    def rise(self) -> None:
        """Starts it again; it recovers what was committed."""
        self.background.run(self.postgres.start())


@contextmanager
def held(dsn: str, table: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody locks a table, so that whoever comes to it waits in the middle of its work."""
    somebody = psycopg.connect(dsn)
    try:
        somebody.execute(f"lock table {table} in access exclusive mode".encode())
        yield somebody
    finally:
        somebody.close()


async def somebody_waits(dsn: str) -> None:
    """Until Rollbook waits for a lock there."""
    async with asyncio.timeout(30):
        while not rows(dsn, WAITS):
            await asyncio.sleep(0.05)


async def in_the_midst(shop: Shop, dsn: str, table: str, ask: Awaitable[T], then: Callable[[], None]) -> T:
    """What is answered to somebody in the midst of whose work, at this table, something happens."""
    with held(dsn, table):
        asking = asyncio.ensure_future(ask)
        await somebody_waits(dsn)
        await asyncio.to_thread(then)
    return await asking
