"""`rollbook config`: every setting with its origin, and whether what it names can be reached."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated

import nats.errors
import psycopg
import typer
from pydantic import SecretStr

from adapters.logs import configure_logging, without_secrets
from adapters.nats.connection import Lost, connection
from adapters.settings import Settings, SettingsError, load_settings, settings_with_origin
from entrypoints.cli.failures import Exit, misuse
from entrypoints.cli.output import note, print_json, print_table, safe
from entrypoints.cli.session import group

commands = group()
CHECK_SECONDS = 5
FAULTS = (psycopg.Error, nats.errors.Error, Lost, OSError, ValueError)


@commands.command("config")
def config(
    check: Annotated[bool, typer.Option("--check", help="Also try the database and NATS, 5 seconds each.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every setting with its origin, secrets masked. Exit code 1 when a check fails, 2 for a bad setting."""
    configure_logging("warning", "console")
    try:
        settings = load_settings()
    except SettingsError as problem:
        raise misuse(str(problem)) from None
    checks = asyncio.run(checked(settings)) if check else {}
    (tell_json if json else tell)(settings_with_origin(settings), checks)
    if any(checks.values()):
        raise typer.Exit(Exit.REFUSED)


def tell(rows: list[tuple[str, str, str]], checks: dict[str, str]) -> None:
    """For people: the settings on stdout, the checks on stderr."""
    print_table(("SETTING", "VALUE", "ORIGIN"), [tuple(safe(cell) for cell in row) for row in rows])
    for part, problem in checks.items():
        note(safe(f"{part}: {problem or 'ok'}"))


def tell_json(rows: list[tuple[str, str, str]], checks: dict[str, str]) -> None:
    """For programs: one document; a check without a problem is null."""
    settings = [{"name": name, "value": value, "origin": origin} for name, value, origin in rows]
    print_json({"settings": settings, "checks": {part: problem or None for part, problem in checks.items()}})


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
