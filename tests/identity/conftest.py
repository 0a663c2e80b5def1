"""What the tests of authentication share: providers on a real socket and an authentication that asks them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.identity.web import Web
from tests.conftest import Database
from tests.identity.entrance import Entrance
from tests.identity.providers import Clock, Providers, SigningKey, Stage, serving
from tests.identity.world import World, guarded, world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage() -> AsyncIterator[Stage]:
    async with serving() as running:
        yield running


@pytest.fixture
def providers(stage: Stage) -> Providers:
    return stage.begin()


@pytest.fixture(scope="session")
def signing_key() -> SigningKey:
    return SigningKey("first")


@pytest.fixture(scope="session")
def other_key() -> SigningKey:
    return SigningKey("second")


@pytest_asyncio.fixture(loop_scope="session")
async def entrance(providers: Providers, signing_key: SigningKey) -> AsyncIterator[Entrance]:
    providers.keys = [signing_key.public_jwk()]
    async with Web(seconds=30) as web:
        entrance = Entrance(providers, Clock(), signing_key, web)
        yield entrance
        for built in entrance.built:
            await built.aclose()


@pytest.fixture
def member(providers: Providers) -> Callable[..., str]:
    """Makes a token of a user with these organisations known to GitHub."""

    def known(token: str, login: str = "octo", **organisations: int) -> str:
        providers.users[token] = {"login": login, "id": 1}
        providers.memberships[token] = [{"login": name, "id": number} for name, number in organisations.items()]
        return token

    return known


@pytest_asyncio.fixture(loop_scope="session")
async def rollbook(
    database: Database, tmp_path: Path, providers: Providers, signing_key: SigningKey
) -> AsyncIterator[World]:
    async with world(database, guarded(tmp_path, providers), providers, signing_key) as running:
        yield running
