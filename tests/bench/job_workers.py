"""Workers of the benchmark of jobs, each a process of its own: ours, and procrastinate's. Their jobs do nothing."""

import asyncio
import os
import sys
from collections.abc import Awaitable
from time import time
from typing import Any

import uvloop
from procrastinate import App, PsycopgConnector

from adapters.logs import configure_logging
from adapters.settings import load_settings
from application.handlers import Attempt, Handler, by_name
from entrypoints.cli.servers import collect_seldom
from entrypoints.workers.process import Process

LATE = "LATE_FILE"


def note(asked_at: float | None) -> None:
    """Writes down how late a job starts, where that is measured."""
    if asked_at is not None:
        with open(os.environ[LATE], "a") as file:
            file.write(f"{time() - asked_at}\n")


async def nothing(attempt: Attempt) -> dict[str, Any]:
    """Does nothing."""
    note(attempt.arguments.get("at"))
    return {}


class IdleProcess(Process):
    """Knows one more handler."""

    def tasks(self, nats_url: str) -> list[Awaitable[None]]:
        assert self.rollbook is not None
        self.rollbook.handlers |= by_name(Handler("NOTHING", "nothing", "nothing", nothing))
        return super().tasks(nats_url)


def peer(url: str) -> App:
    """Procrastinate with the same job."""
    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="nothing", queue="nothing")
    async def nothing_of_theirs(at: float | None = None) -> None:
        note(at)

    return app


async def work_for_peer(url: str, concurrency: int) -> None:
    """Until it is told to stop."""
    async with (app := peer(url)).open_async():
        await app.run_worker_async(concurrency=concurrency, delete_jobs="never")


async def work_for_us() -> None:
    """As `rollbook work` does."""
    process = IdleProcess(load_settings(), frozenset({"work"}))
    collect_seldom()
    await process.run()


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        configure_logging("error", "json")
        uvloop.run(work_for_us())
    else:
        asyncio.run(work_for_peer(sys.argv[2], int(sys.argv[3])))
