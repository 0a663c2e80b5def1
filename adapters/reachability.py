"""Whether the servers that the settings name answer."""

import asyncio
from collections.abc import Awaitable

import nats.errors
import psycopg
from pydantic import SecretStr

from adapters.logs import without_secrets
from adapters.nats.connection import Lost, connection
from adapters.settings import Settings

CHECK_SECONDS = 5
FAULTS = (psycopg.Error, nats.errors.Error, Lost, OSError, ValueError)


async def checked(settings: Settings) -> dict[str, str]:
    """The problem of each server that the settings name, empty where there is none; our own are not running yet."""
    named = {
        "database": (settings.database_url, database),
        "database owner": (settings.database_owner_url, database),
        "nats": (settings.nats_url, broker),
    }
    tried = {part: problem(attempt(url)) for part, (url, attempt) in named.items() if url is not None}
    return dict(zip(tried, await asyncio.gather(*tried.values()), strict=True))


async def problem(attempt: Awaitable[None]) -> str:
    """Why an attempt failed, on one line and without secrets."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await attempt
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS} s"
    except psycopg.ProgrammingError:
        return "is not the address of a Postgres server"
    except FAULTS as fault:
        return " ".join(without_secrets(str(fault) or type(fault).__name__).split())[:300]
    return ""


async def database(url: SecretStr) -> None:
    """Connects and asks something."""
    async with await psycopg.AsyncConnection.connect(url.get_secret_value(), connect_timeout=CHECK_SECONDS) as opened:
        await opened.execute("select 1")


async def broker(url: SecretStr) -> None:
    """Connects as the relay does, and asks JetStream something."""
    async with connection(url.get_secret_value(), CHECK_SECONDS) as opened:
        await opened.jetstream().account_info()
