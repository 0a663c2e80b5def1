"""`rollbook backup | restore`: the whole store in one file, and back."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.output import note, print_json, safe
from entrypoints.cli.session import group

if TYPE_CHECKING:
    from adapters.postgres.backup import Progress
    from adapters.postgres.backup_manifest import Manifest
    from adapters.settings import Settings

commands = group()
T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@commands.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(help="A new file, or a folder for one.")] = Path(),
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the master key inside: whoever has the file can read every name.")
    ] = False,
    with_blobs: Annotated[
        bool, typer.Option("--blobs/--no-blobs", help="Copy what packages hold, unless its store is copied apart.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Copy the log, its keys, its commands and its blobs into one file, while everything goes on.

    It takes the database of DATABASE_OWNER_URL, else the one in DATA_DIR, whether it runs or not.
    """
    from entrypoints import backups

    with phases(json) as phase:
        made = run(lambda settings: backups.take(settings, target, with_key, with_blobs, phase))
    facts = {"path": str(made.path.absolute()), "size": made.size, **described(made.manifest)}
    if json:
        print_json(facts)
        return
    print(safe(str(made.path)))
    note(f"{made.manifest.last_position} events, {made.size} bytes, digest {made.manifest.digest}")
    if not with_key:
        note("Keep the master key too, apart from the backup: without it nobody's name can be read.")


@commands.command("restore")
def restore(
    source: Annotated[Path, typer.Argument(help="A file that `rollbook backup` wrote.")],
    check: Annotated[bool, typer.Option("--check", help="Only check the file; nothing is changed.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Give up the log that is there.")] = False,
    another_store: Annotated[bool, typer.Option("--another-store", help="Even when it is another store's.")] = False,
    while_running: Annotated[bool, typer.Option("--while-running", help="Let running processes start over.")] = False,
    forget_people: Annotated[
        bool, typer.Option("--forget-people", help="Without the master key: destroy the keys of all people.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Put a backup in the place of the store, as a new epoch of it. All or nothing; nothing is given up unasked.

    Processes and subscribers see the new epoch and start over. Whoever was erased stays erased.
    """
    from adapters.postgres.backup_restore import Wish
    from entrypoints import backups

    with phases(json) as phase:
        if check:
            tell({"valid": True, **described(in_one_line(lambda: backups.check(source, phase)))}, json)
            return
        wish = Wish(replace, another_store, while_running, forget_people)
        manifest, done = run(lambda settings: backups.restore(settings, source, wish, phase))
    facts = described(manifest) | {
        "epoch": done.epoch,
        "epoch_before": done.before.epoch,
        "events_given_up": done.before.last_position,
        "erased_again": done.erased,
        "tokens_valid_again": [{"organisation": t.organisation, "id": t.id} for t in done.valid_again],
    }
    tell(facts, json)
    if done.valid_again:
        note("Tokens that were revoked since the backup are valid again: revoke them.")


def run(work: Callable[["Settings"], Coroutine[Any, Any, T]]) -> T:
    """What the work with the settings answers; a Failure says in one line why it could not."""
    import uvloop

    from adapters.logs import configure_logging
    from adapters.settings import SettingsError, load_settings

    configure_logging("error", "console")
    try:
        settings = load_settings()
    except SettingsError as problem:
        raise misuse(str(problem)) from None
    return in_one_line(lambda: uvloop.run(work(settings)))


def in_one_line(work: Callable[[], T]) -> T:
    """What the work answers; refusals become Failures."""
    from adapters.postgres.backup_archive import BackupRefused
    from domain.errors import RollbookError

    try:
        return work()
    except BackupRefused as refusal:
        raise Failure(str(refusal), Exit.REFUSED, "BACKUP_REFUSED") from None
    except RollbookError as refusal:
        raise Failure(refusal.message, Exit.UNAVAILABLE, refusal.code) from None
    except OSError as problem:
        raise Failure(f"Cannot work on this machine: {problem}", Exit.UNAVAILABLE, "UNAVAILABLE") from None


@contextmanager
def phases(quiet: bool) -> Iterator[Callable[[str], "Progress"]]:
    """Shows each phase with a bar and its rate."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[unit]}, {task.fields[rate]:.0f}/s")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=quiet)

    def phase(name: str) -> Callable[[int, int], None]:
        unit, started = "blobs" if name.endswith("blobs") else "rows", perf_counter()
        task = bar.add_task(name, start=False, total=None, rate=0.0, unit=unit, visible=False)

        def show(done: int, total: int) -> None:
            bar.start()
            bar.start_task(task)
            rate = done / max(perf_counter() - started, 1e-6)
            bar.update(task, completed=done, total=total, rate=rate, visible=True)

        return show

    try:
        yield phase
    finally:
        if bar.live.is_started:
            bar.stop()


def described(manifest: "Manifest") -> dict[str, Any]:
    """What a backup holds, in words that do not change."""
    facts = manifest.model_dump(mode="json", include={"store_id", "epoch", "last_recorded_at", "taken_at"})
    held = {
        "events": manifest.last_position,
        "blobs": len(manifest.blobs),
        "key_included": manifest.key_included,
        "digest": manifest.digest,
    }
    return {**facts, **held, "rollbook": manifest.rollbook}


def tell(facts: dict[str, Any], as_json: bool) -> None:
    """The facts, for a program or for people."""
    from entrypoints.cli.output import print_record

    (print_json if as_json else print_record)(facts)
