"""Each test of the feed has a nats-server and a log of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.feed.ground import MemoryLog, Server
from tests.process.conftest import servers

__all__ = ["servers"]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    started = Server(tmp_path / "jetstream")
    try:
        await started.start()
        yield started
    finally:
        await started.kill()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()
