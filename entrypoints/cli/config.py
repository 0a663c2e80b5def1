"""`rollbook config`: every setting with its origin, and whether what it names can be reached."""

import asyncio
from typing import Annotated

import typer

from entrypoints.cli.failures import Exit, misuse
from entrypoints.cli.output import note, print_json, print_table, safe
from entrypoints.cli.session import group

commands = group()


@commands.command("config")
def config(
    check: Annotated[
        bool, typer.Option("--check", help="Also try the database, NATS and the bucket, 5 seconds each.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every setting with its origin, secrets masked. Exit code 1 when a check fails, 2 for a bad setting."""
    from adapters.logs import configure_logging
    from adapters.provenance import settings_with_origin
    from adapters.reachability import checked
    from adapters.settings import SettingsError, load_settings

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
