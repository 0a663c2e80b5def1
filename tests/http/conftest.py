"""A fresh small API for each test, and one whole Rollbook for all who try in vain to change something in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.embedded.postgres import EmbeddedPostgres
from tests.conftest import Running, fresh_database, running_rollbook, settings_for
from tests.http.asgi import Shop
from tests.http.hostile import Siege


@pytest.fixture
def shop() -> Shop:
    """An API of this layer, without a socket."""
    return Shop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def besieged(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """A Rollbook without authentication, which hostile tests share."""
    folder: Path = tmp_path_factory.mktemp("besieged")
    with fresh_database(postgres, template) as database:
        async with running_rollbook(settings_for(folder), database) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="session")
async def siege(besieged: Running) -> Siege:
    """Asks what must be refused."""
    return Siege(besieged, await besieged.app.log.head())
