"""Commands for incident bundles: take a part of the record out as one file, and open it anywhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.cli.downloads import download
from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.fields import Output
from entrypoints.cli.output import note, print_json_line, safe
from entrypoints.cli.session import Session, command, filled, group

if TYPE_CHECKING:
    from adapters.bundles.manifest import Manifest

MAKE_HELP = """Take a part of the record out as one file: events, streams, read models, digests.

\b
    rollbook bundle --from -2h -o incident.zip
    rollbook bundle --from 'production~3' --lane checkout --redact
"""
LARGEST_NAMES = 4 * 1024 * 1024

commands = group()
bundle = group()
commands.add_typer(bundle, name="bundle")
Lane = Annotated[list[str] | None, typer.Option("--lane", help="A lane's id or a component; several times for more.")]
Redact = Annotated[bool, typer.Option("--redact", help="Put stand-ins in the place of names: person-1 and so on.")]
Names = Annotated[
    Path | None, typer.Option("--redaction-map", help="A JSON object of stand-ins by login; implies --redact.")
]


@bundle.callback(invoke_without_command=True, help=MAKE_HELP)
@command
def make(
    session: Session,
    context: typer.Context,
    since: Annotated[
        str | None, typer.Option("--from", metavar="WHEN", help="Where it begins: -2h, a position, production~3.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="WHEN", help="Where it ends; now, when not given.")] = None,
    lane: Lane = None,
    redact: Redact = False,
    redaction_map: Names = None,
    output: Output = None,
) -> None:
    """Asks for the bundle and writes it down, unless a bundle is to be opened."""
    if context.invoked_subcommand:
        return
    if since is None:
        raise misuse("Say where the bundle begins: --from -2h, for instance")
    names = names_in(redaction_map) if redaction_map else None
    body = {"from": since, "redact": redact or names is not None} | filled(to=to, lanes=lane, names=names)
    download(session, "POST", "/v1/bundles", output, json=body)


def names_in(path: Path) -> dict[str, Any]:
    """The stand-ins that a file names."""
    try:
        found = json.loads(path.read_bytes()[:LARGEST_NAMES])
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise misuse(f"{path} is no JSON object of stand-ins by login")
    return found


@bundle.command("open")
def open_bundle(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file that `rollbook bundle` wrote.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to serve it; 0 takes a free port.")] = 8000,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it is as JSON.")] = False,
) -> None:
    """Serve a bundle's answers on this machine until Ctrl-C; nobody needs the database that it is from."""
    import uvloop

    from adapters.embedded.process import CannotStart
    from adapters.logs import configure_logging
    from domain.errors import RollbookError
    from entrypoints.bundles import serve

    configure_logging("error", "console")
    try:
        uvloop.run(serve(file, port, lambda manifest, at: tell(manifest, at, as_json)))
    except RollbookError as refusal:
        raise Failure(refusal.message, Exit.REFUSED, refusal.code) from None
    except (CannotStart, OSError) as problem:
        raise Failure(f"Cannot work on this machine: {problem}", Exit.UNAVAILABLE, "UNAVAILABLE") from None


def tell(manifest: "Manifest", port: int, as_json: bool) -> None:
    """Where it is, and what it holds."""
    facts = manifest.model_dump(
        include={"organisation", "from_position", "to_position", "lanes", "redacted", "store_id", "epoch"}
    )
    url = f"http://127.0.0.1:{port}"
    if as_json:
        print_json_line({"url": url, **facts})
        return
    note(safe(f"Positions {manifest.from_position} to {manifest.to_position} of {manifest.organisation}: {url}"))
    if manifest.lanes:
        note(f"It holds {len(manifest.lanes)} lanes, and knows nothing of any other.")
    note(f"Ask it as any Rollbook: API_URL={url} rollbook fleet --as-of {manifest.from_position}. Ctrl-C ends it.")
