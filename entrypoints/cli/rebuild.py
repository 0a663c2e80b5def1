"""`rollbook rebuild`: read models made anew from the log."""

from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.output import note, print_json
from entrypoints.cli.session import group

if TYPE_CHECKING:
    from adapters.postgres.log import PostgresLog
    from adapters.postgres.pools import Pools
    from projections.read_model import ReadModel

commands = group()


@commands.command("rebuild")
def rebuild(
    read_model: Annotated[str | None, typer.Argument(help="Which one; all without it.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build read models anew from the log, beside the ones that serve, in DATABASE_URL or what runs on DATA_DIR."""
    import uvloop

    from adapters.embedded.running import running_url
    from adapters.logs import configure_logging
    from adapters.settings import SettingsError, load_settings

    configure_logging("warning", "console")
    try:
        settings = load_settings()
    except SettingsError as problem:
        raise misuse(str(problem)) from None
    url = settings.database_url.get_secret_value() if settings.database_url else running_url(settings.data_dir)
    if url is None:
        raise misuse(f"No Rollbook runs on {settings.data_dir}: start it, or set DATABASE_URL")
    done = uvloop.run(rebuild_all(url, read_model, quiet=json))
    if json:
        print_json(done)


async def rebuild_all(url: str, wanted: str | None, quiet: bool) -> list[dict[str, object]]:
    """Rebuilds the wanted read models one after the other, with a bar for each."""
    from adapters.postgres.codec import UnknownEvent
    from adapters.postgres.log import PostgresLog
    from adapters.postgres.pools import Pools
    from adapters.reachability import check_database
    from domain.errors import RollbookError
    from projections.registry import READ_MODELS

    models = [m for m in READ_MODELS if wanted in (None, m.name)]
    if not models:
        raise misuse(f"There is no read model {wanted}: {', '.join(m.name for m in READ_MODELS)}")
    pools = Pools.of(url, 2)
    try:
        await check_database(url)
        await pools.open()
        log = PostgresLog(pools, url)
        return [await rebuild_one(pools, log, model, quiet) for model in models]
    except RollbookError as refusal:
        raise Failure(refusal.message, Exit.UNAVAILABLE, refusal.code) from None
    except UnknownEvent as newer:
        raise Failure(f"Rebuild with the newer release that wrote this: {newer}", Exit.UNAVAILABLE, "NEWER") from None
    finally:
        await pools.close()


async def rebuild_one(pools: "Pools", log: "PostgresLog", model: "ReadModel", quiet: bool) -> dict[str, object]:
    """One read model; what it came to."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from adapters.postgres.rebuild import rebuild as make_anew

    started = perf_counter()
    rate = TextColumn("{task.fields[rate]:.0f} events/s")
    columns = (TextColumn(model.name), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())

    def per_second(count: int) -> float:
        return count / max(perf_counter() - started, 1e-6)

    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task(model.name, total=None, rate=0.0)

        def show(position: int, head: int) -> None:
            bar.update(task, completed=position, total=head, rate=per_second(position))

        count = await make_anew(pools, log, model, show)
    told = {"events": count, "seconds": round(perf_counter() - started, 3), "events_per_second": int(per_second(count))}
    if not quiet:
        note(f"{model.name}: {count} events in {told['seconds']:.1f} s, {told['events_per_second']} events/s")
    return {"read_model": model.name, **told}
