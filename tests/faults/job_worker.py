"""A worker with handlers for the fault tests, in a process of its own: its effects lie in a database of the test."""

import asyncio
import os
from collections.abc import Awaitable
from typing import Any

import psycopg

from adapters.logs import configure_logging
from adapters.settings import load_settings
from application.handlers import Attempt, Handler, by_name
from domain.errors import Unavailable
from entrypoints.workers.process import Process

TARGET = "EFFECTS_URL"
TRY = "insert into tries (job, fence) values (%s, %s)"
EFFECT = "insert into effects (job) values (%s) on conflict do nothing"


async def effect(attempt: Attempt) -> dict[str, Any]:
    """Does something in one transaction; at its first try it waits in the midst of it for as long as it was asked."""
    try:
        async with await psycopg.AsyncConnection.connect(os.environ[TARGET], autocommit=True) as connection:
            await connection.execute(TRY, [attempt.job_id, attempt.fence])
            async with connection.transaction():
                await connection.execute(EFFECT, [attempt.job_id])
                attempt.progress(done=1, total=2)
                attempt.log(f"try {attempt.fence}")
                if attempt.fence == 1:
                    await linger(attempt)
    except psycopg.OperationalError:
        raise Unavailable("The effects' database is away") from None
    return {"fence": attempt.fence}


async def linger(attempt: Attempt) -> None:
    """Waits, and takes its time to stop."""
    try:
        await asyncio.sleep(attempt.arguments.get("seconds", 0))
    except asyncio.CancelledError:
        await asyncio.sleep(attempt.arguments.get("undo", 0))
        raise


class WorkingProcess(Process):
    """Knows one more handler."""

    def tasks(self, nats_url: str) -> list[Awaitable[None]]:
        assert self.rollbook is not None
        self.rollbook.handlers |= by_name(Handler("EFFECT", "effect", "effect", effect, timeout_seconds=600))
        return super().tasks(nats_url)


if __name__ == "__main__":
    configure_logging("info", "json")
    asyncio.run(WorkingProcess(load_settings(), frozenset({"work"})).run())
