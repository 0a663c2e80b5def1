"""Whether the servers that the settings name answer."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

import nats.errors
import psycopg
from pydantic import SecretStr

from adapters.blobs.choosing import blobs_of
from adapters.logs import without_secrets
from adapters.nats.connection import Lost, connection
from adapters.settings import Settings
from domain.errors import Unavailable

CHECK_SECONDS = 5
FAULTS = (psycopg.Error, nats.errors.Error, Lost, Unavailable, OSError, ValueError)


async def checked(settings: Settings) -> dict[str, str]:
    """The problem of each server that the settings name, empty where there is none; our own are not running yet."""
    named = {
        "database": (settings.database_url, database),
        "database owner": (settings.database_owner_url, database),
        "nats": (settings.nats_url, broker),
    }
    tried = {part: problem(attempt(url)) for part, (url, attempt) in named.items() if url is not None}
    if settings.blobs_url is not None:
        tried["blobs"] = problem(blobs_of(settings, settings.data_dir).check())
    return dict(zip(tried, await asyncio.gather(*tried.values()), strict=True))


async def problem(attempt: Awaitable[None]) -> str:
    """Why an attempt failed, on one line and without secrets."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await attempt
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS} s"
    except FAULTS as fault:
        return in_words(fault)
    return ""


def in_words(fault: Exception) -> str:
    """What a server or its driver said, on one line and without secrets."""
    said = str(fault).strip() or type(fault).__name__
    return " ".join(without_secrets(said).split())[:300]


async def check_database(url: str) -> None:
    """Unavailable, with the reason, when nobody can connect to it now; who only opens a pool waits long for less."""
    with named("The database"):
        await database(SecretStr(url))


@contextmanager
def named(server: str) -> Iterator[None]:
    """Whatever goes wrong with this server while a process starts is Unavailable, in one line that names it."""
    try:
        yield
    except psycopg.Error as fault:
        raise Unavailable(f"{server}: {in_words(fault)}") from None


async def database(url: SecretStr) -> None:
    """Connects and asks something."""
    async with await psycopg.AsyncConnection.connect(url.get_secret_value(), connect_timeout=CHECK_SECONDS) as opened:
        await opened.execute("select 1")


async def broker(url: SecretStr) -> None:
    """Connects as the relay does, and asks JetStream something."""
    async with connection(url.get_secret_value(), CHECK_SECONDS) as opened:
        await opened.jetstream().account_info()
