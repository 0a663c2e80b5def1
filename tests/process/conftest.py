"""Whole processes, started as a user starts them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.embedded.nats import EmbeddedNats
from tests.conftest import Database, open_folder
from tests.faults.instance import Instance

SECONDS = 60
DEPLOYMENT = {
    "name": "shop",
    "version": "1",
    "provider": "gcp",
    "cloud_account_id": "account",
    "region": "eu",
    "environment": "production",
    "type": "k8s",
}


async def told(*arguments: str, **settings: str) -> tuple[int, str]:
    """The exit code of a command that ends by itself, and what it said on standard error."""
    with open_folder("told") as folder:
        environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "API_PORT": "0", "MANAGEMENT_PORT": "0"}
        child = await asyncio.create_subprocess_exec(
            Path(sys.executable).parent / "rollbook",
            *arguments,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment | settings,
            cwd=folder,
        )
        try:
            _, said = await asyncio.wait_for(child.communicate(), SECONDS)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        assert child.returncode is not None
        return child.returncode, said.decode()


@asynccontextmanager
async def started(folder: Path, part: str = "up", **settings: str) -> AsyncIterator[Instance]:
    """A process with this part, ready; nothing of it is left afterwards."""
    made = Instance(folder, part, settings)
    try:
        await made.start()
        yield made
    finally:
        if made.process is not None:
            await made.kill_all()


@pytest.fixture
async def servers(database: Database) -> AsyncIterator[dict[str, str]]:
    """The settings that name servers which run already; the NATS is the test's own."""
    with open_folder("servers") as folder:
        async with EmbeddedNats(folder) as messages:
            yield {"DATABASE_URL": database.app_url, "NATS_URL": messages.url}


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it holds; fails after a minute."""
    async with asyncio.timeout(SECONDS):
        while not await holds():
            await asyncio.sleep(0.05)
