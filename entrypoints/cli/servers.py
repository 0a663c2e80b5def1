"""The commands that run Rollbook: everything at once, or its parts."""

import ctypes
import gc
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.session import group

if TYPE_CHECKING:
    from adapters.settings import Settings

commands = group()
M_ARENA_MAX = -8


def start(parts: frozenset[str], welcome: bool = False, chosen: Mapping[str, Any] | None = None) -> None:
    """Runs until Ctrl-C or SIGTERM, then exit code 0; 2 for a bad setting, 1 when something cannot start.

    `chosen` are settings of the command line. Imports late, since the help page should not wait for servers.
    """
    from adapters.logs import configure_logging
    from adapters.settings import SettingsError, load_settings

    configure_logging("warning", "console")
    try:
        settings = load_settings().model_copy(update=chosen or {})
    except SettingsError as problem:
        raise misuse(str(problem)) from None
    configure_logging(settings.log_level, settings.log_format)
    share_metrics(settings)
    run_parts(settings, parts, welcome)


def share_metrics(settings: "Settings") -> None:
    """Tells the metrics' library, which looks into the environment when it is imported, also what stood elsewhere."""
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if settings.prometheus_multiproc_dir:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.prometheus_multiproc_dir)


def collect_seldom() -> None:
    """Looks for garbage less often: to look through all that a process remembers holds up every request meanwhile.

    Measured at 1,500 creates a second: the slowest of a hundred took 60 to 100 ms before, and 15 to 40 ms since.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def share_memory() -> None:
    """Lets all threads of the process take memory out of few heaps, where the C library is one that has several.

    Measured while packing 1,000,000 rows: each thread's own heap kept what it once held, 50 MB altogether.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def run_parts(settings: "Settings", parts: frozenset[str], welcome: bool) -> None:
    """Runs them to their end; a Failure says in one line why they cannot start."""
    import psycopg
    import uvloop

    from adapters.embedded.process import CannotStart
    from adapters.reachability import in_words
    from domain.errors import RollbookError
    from entrypoints.workers.process import Process

    async def run() -> None:
        process = Process(settings, parts)
        collect_seldom()
        share_memory()
        await process.run((lambda: greet(settings, process.ports)) if welcome else None)

    try:
        uvloop.run(run())
    except (CannotStart, OSError, ValueError, RollbookError, psycopg.Error) as problem:
        raise Failure(in_words(problem), Exit.REFUSED, "CANNOT_START") from None


def greet(settings: "Settings", ports: Mapping[str, int]) -> None:
    """Where everything is, and what to try."""
    api = address(settings.api_host, ports["API"])
    body = (
        '{"name": "user-service", "version": "1.0.0", "provider": "gcp", "cloud_account_id": "my-project", '
        '"region": "us-central1", "environment": "production", "type": "k8s"}'
    )
    print(
        f"""Rollbook {version("rollbook")} is ready.
  API         {api}   (documentation: {api}/docs)
  Management  {address(settings.management_host, ports["MANAGEMENT"])}   (/health, /ready, /metrics)
  Data        {settings.data_dir.absolute()}

Try it:
  curl -X POST {api}/v1/deployments -H 'Content-Type: application/json' -d '{body}'
  curl {api}/v1/deployments
  curl {api}/v1/lanes

Ctrl-C stops everything.""",
        flush=True,
    )


def address(host: str, port: int) -> str:
    """A URL that works on this machine."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


@commands.command()
def up() -> None:
    """Run everything on this machine, with a Postgres and a NATS of our own unless the settings name others."""
    start(frozenset({"serve", "project", "relay", "work"}), welcome=True)


@commands.command()
def serve() -> None:
    """Run the API alone."""
    start(frozenset({"serve"}))


@commands.command()
def project() -> None:
    """Keep the read models."""
    start(frozenset({"project"}))


@commands.command()
def relay() -> None:
    """Copy the log to NATS."""
    start(frozenset({"relay"}))


@commands.command()
def work(
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Jobs at a time.", show_default="WORKER_CONCURRENCY, else 10"),
    ] = None,
) -> None:
    """Do jobs, and the housekeeping: end silent claims, forget old keys."""
    start(frozenset({"work"}), chosen={"worker_concurrency": concurrency} if concurrency else None)
