"""Commands that make files of packages and take them in, however large they are."""

from base64 import b64encode
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from entrypoints.cli import package_group as given
from entrypoints.cli.downloads import download
from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.fields import Output
from entrypoints.cli.following import Advance, progress
from entrypoints.cli.output import note, safe, word
from entrypoints.cli.package_group import one, package
from entrypoints.cli.package_making import tell_made
from entrypoints.cli.session import Session, command, filled, part

UPLOADS = "/api/uploads"
PIECE_BYTES = 8 << 20
TRIES = 5
OFFSET_STREAM = "application/offset+octet-stream"


class Format(StrEnum):
    """What a package is exported as."""

    ZIP = "zip"
    JSON = "json"
    BUNDLE = "bundle"


@package.command("export")
@command
def export(
    session: Session,
    package_id: given.Id,
    format: Annotated[Format, typer.Option(help="A zip, the document alone, or a signed bundle.")] = Format.ZIP,
    output: Output = None,
    tables: given.Tables = None,
    where: given.Where = None,
    background: Annotated[
        bool, typer.Option("--background", help="Have a job make it, for `rollbook job file`.")
    ] = False,
) -> None:
    """Make a file of a package, or of some of its rows."""
    narrowed = {"tables": tables, "where_clause": given.conditions(where) if where else None}
    path, body = one(package_id, "generate"), filled(format=format, **narrowed)
    if not background:
        download(session, "POST", path, output, json=body)
        return
    if output:
        raise misuse("With --background there is no file yet to put anywhere: `rollbook job file` fetches it")
    reply = session.api.send("POST", path, body | {"background": True})
    session.answer(reply.body, lambda told: note(safe(f"{word(told['message'])}: {word(told['job_id'])}")))


@package.command("import")
@command
def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(help="A document, a zip or a bundle.", exists=True, dir_okay=False)],
    environment: Annotated[str | None, typer.Option("--environment", "--env", help="What it is taken in for.")] = None,
) -> None:
    """Take in a package that came in a file. A connection that breaks costs one piece of it."""
    with file.open("rb") as content, progress(session.as_json) as advance:
        where = uploaded(session, content, file, advance)
    reply = session.api.send("POST", f"{where}/import", filled(environment=environment))
    session.answer(reply.body, tell_made)


def uploaded(session: Session, content: BinaryIO, file: Path, advance: Advance) -> str:
    """Where the whole file is then."""
    size, offset = file.stat().st_size, 0
    said = f"filename {b64encode(file.name.encode()).decode()}"
    begun = session.api.send("POST", UPLOADS, headers={"Upload-Length": str(size), "Upload-Metadata": said})
    where = f"{UPLOADS}/{part(begun.headers['location'].rpartition('/')[2])}"
    while offset < size:
        offset = sent(session, where, content, offset)
        advance("sending", offset, size, f"{offset >> 10} of {size >> 10} KiB")
    return where


def sent(session: Session, where: str, content: BinaryIO, offset: int) -> int:
    """Sends the next piece; answers how far the upload has come. A connection that breaks is tried again."""
    for _ in range(TRIES - 1):
        try:
            return sent_once(session, where, content, offset)
        except Failure as failure:
            if failure.exit_code != Exit.UNAVAILABLE:
                raise
            offset = offset_of(session, where)
    return sent_once(session, where, content, offset)


def sent_once(session: Session, where: str, content: BinaryIO, offset: int) -> int:
    """Sends a piece."""
    content.seek(offset)
    headers = {"Upload-Offset": str(offset), "Content-Type": OFFSET_STREAM}
    with session.api.stream("PATCH", where, content=content.read(PIECE_BYTES), headers=headers) as response:
        return int(response.headers["upload-offset"])


def offset_of(session: Session, where: str) -> int:
    """How many bytes of an upload are there."""
    with session.api.stream("HEAD", where) as response:
        return int(response.headers["upload-offset"])
