"""Commands that make packages, look at what one would hold, and say what is said about one."""

from typing import Annotated, Any
from uuid import uuid4

import typer

from entrypoints.cli import package_group as given
from entrypoints.cli.fields import Key
from entrypoints.cli.following import follow
from entrypoints.cli.output import note, print_record, print_table, safe, word
from entrypoints.cli.package_group import PATH, closure, one, package, parsed, selection
from entrypoints.cli.package_reading import told
from entrypoints.cli.session import Session, command, filled

Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the job.")]
PACKED = 202
FOUND = ("TABLE", "ROWS", "BYTES", "WHY")


@package.command("create")
@command
def create(
    session: Session,
    name: Annotated[str | None, typer.Argument(help="The package's name.")] = None,
    version: Annotated[str | None, typer.Argument(help="Its version.")] = None,
    environment: given.Source = None,
    kind: given.Kind = None,
    tables: given.Tables = None,
    where: given.Where = None,
    exclude: given.Exclude = None,
    masks: given.Masks = None,
    match: given.Match = None,
    include_parent: given.Parents = False,
    include_related: given.Related = False,
    max_depth: given.Depth = None,
    file: given.Definition = None,
    description: Annotated[str | None, typer.Option(help="What it is.")] = None,
    metadata: Annotated[str | None, typer.Option(help="Anything else, as JSON.")] = None,
    depends_on: Annotated[list[str] | None, typer.Option(help="A package to deploy before; several times.")] = None,
    detach: Detach = False,
    key: Key = None,
) -> None:
    """Pack rows or documents of an environment."""
    body = selection(file, kind, environment, tables, where, exclude, masks, match)
    body |= closure(include_parent, include_related, max_depth)
    body |= filled(name=name, version=version, description=description, dependencies=depends_on)
    body |= {"metadata": parsed(metadata)} if metadata else {}
    session.answer(packed(session, body, key or str(uuid4()), detach), tell_made)


def packed(session: Session, body: dict[str, Any], key: str, detach: bool) -> Any:
    """The new package: at once while it is being packed, or when it is."""
    body |= {"run_as_background": True}
    reply = session.api.send("POST", PATH, body, key=key)
    if reply.status == PACKED and not detach:
        follow(session, reply.body["job_id"])
        # The same request again answers what became of it.
        reply = session.api.send("POST", PATH, body, key=key)
    return reply.body


def tell_made(body: dict[str, Any]) -> None:
    """Prints a new package, and the job that packs it."""
    print_record(told(body["package"]) | ({"job_id": body["job_id"]} if "job_id" in body else {}))


@package.command("preview")
@command
def preview(
    session: Session,
    environment: given.Source = None,
    kind: given.Kind = None,
    tables: given.Tables = None,
    where: given.Where = None,
    exclude: given.Exclude = None,
    masks: given.Masks = None,
    match: given.Match = None,
    include_parent: given.Parents = False,
    include_related: given.Related = False,
    max_depth: given.Depth = None,
    file: given.Definition = None,
) -> None:
    """Show what a package would hold, and why; makes nothing."""
    body = selection(file, kind, environment, tables, where, exclude, masks, match)
    body |= closure(include_parent, include_related, max_depth)
    session.answer(session.api.send("POST", f"{PATH}/preview", body).body, tell_found)


def tell_found(body: dict[str, Any]) -> None:
    """Prints a line a table, and the sums."""
    print_table(
        FOUND, [[word(t["name"]), word(t["rows"]), word(t["bytes"]), why(t["reasons"])] for t in body["tables"]]
    )
    note(safe(f"{word(body['total_records'])} rows, {word(body['total_bytes'])} bytes"))


def why(reasons: dict[str, Any]) -> str:
    """How many rows are in for which reason."""
    return ", ".join(f"{word(count)} {reason}" for reason, count in reasons.items())


@package.command("update")
@command
def update(
    session: Session,
    package_id: given.Id,
    description: Annotated[str | None, typer.Option(help="What it is.")] = None,
    status: Annotated[str | None, typer.Option(help="active or archived.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="All its tags; several times.")] = None,
    metadata: Annotated[str | None, typer.Option(help="Anything else, as JSON.")] = None,
) -> None:
    """Change what is said about a package."""
    said = filled(description=description, status=status, tags=tags or None)
    said |= {"metadata": parsed(metadata)} if metadata else {}
    session.answer(session.api.send("PUT", one(package_id), said).body, tell_changed)


@package.command("delete")
@command
def delete(session: Session, package_id: given.Id) -> None:
    """Delete a package; nothing happens to what was deployed of it."""
    session.answer(session.api.send("DELETE", one(package_id)).body, tell_changed)


def tell_changed(body: dict[str, Any]) -> None:
    """Prints what was done."""
    note(safe(f"{word(body['message'])}: {word(body['package_id'])}"))
