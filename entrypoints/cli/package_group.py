"""What the commands about packages share: their group, their path, the choice of rows."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from entrypoints.cli.failures import misuse
from entrypoints.cli.session import group, part

PATH = "/api/packages"
CHOICE = "What to take"
package = group()


@package.callback()
def packages() -> None:
    """Rows and documents that move between environments."""


class Type(StrEnum):
    """What a package holds."""

    DATABASE = "database"
    DOCUMENT = "document"


def choice(*names: str, help: str, metavar: str | None = None) -> Any:
    """An option about what to take."""
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=CHOICE)


Id = Annotated[str, typer.Argument(metavar="ID", help="A package's id.")]
Tables = Annotated[list[str] | None, choice("--table", "-t", help="A table or collection; several times.")]
Where = Annotated[
    list[str] | None, choice("--where", metavar="TABLE=CONDITION", help="Only these rows of a table; several times.")
]
Exclude = Annotated[
    list[str] | None, choice("--exclude", metavar="TABLE.COLUMN", help="Leave a column out; several times.")
]
Masks = Annotated[
    list[str] | None,
    choice("--mask", metavar="TABLE.COLUMN=METHOD", help="Put hash, fake, null or keep-format in place of values."),
]
Match = Annotated[
    list[str] | None,
    choice("--match", metavar="TABLE=COLUMNS", help="By which columns rows of a table are found again in targets."),
]
Parents = Annotated[bool, choice("--include-parent", help="Also the rows that the chosen ones refer to.")]
Related = Annotated[bool, choice("--include-related", help="Also the rows that refer to the chosen ones.")]
Depth = Annotated[int | None, choice("--max-depth", help="How many steps to go down to related rows.")]
Definition = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="A JSON file with the request's body; - is stdin. Options win over it."),
]
Kind = Annotated[Type | None, typer.Option("--type", help="Rows of tables, or documents; database unless said.")]
Source = Annotated[str | None, typer.Option("--environment", "--env", help="Where the rows are.")]


def selection(
    file: Path | None,
    kind: Type | None,
    environment: str | None,
    tables: list[str] | None,
    where: list[str] | None,
    exclude: list[str] | None,
    masks: list[str] | None,
    match: list[str] | None,
) -> dict[str, Any]:
    """The body that the options make of the file."""
    body = read_definition(file) if file else {}
    body["package_type"] = kind or body.get("package_type") or Type.DATABASE
    documents = body["package_type"] == Type.DOCUMENT
    chosen = dict(body.get("filter") or {})
    chosen |= {"collections" if documents else "tables": tables} if tables else {}
    chosen |= {"where_clause": conditions(where)} if where else {}
    chosen |= {"exclude_fields" if documents else "exclude_columns": columns(exclude)} if exclude else {}
    body |= {"filter": chosen, **({"environment": environment} if environment else {})}
    body |= {"masks": methods(masks)} if masks else {}
    body |= {"match_keys": {table: text.split(",") for table, text in pairs("--match", match)}} if match else {}
    return body


def closure(include_parent: bool, include_related: bool, max_depth: int | None) -> dict[str, Any]:
    """What comes with the chosen rows, as far as the options say it."""
    flags = {"include_parent": include_parent, "include_related": include_related, "max_depth": max_depth}
    return {name: value for name, value in flags.items() if value}


def read_definition(file: Path) -> dict[str, Any]:
    """The body that a file holds."""
    try:
        found = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text())
    except (OSError, ValueError, RecursionError) as fault:
        raise misuse(f"{file} cannot be read: {fault}") from None
    if not isinstance(found, dict):
        raise misuse(f"{file} must hold a JSON object")
    return found


def pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    """What stands before and behind the first = of each."""
    for one in given or []:
        if not all(one.partition("=")[::2]):
            raise misuse(f"{option} must be written with a = in it, not {one!r}")
    return [(one.partition("=")[0], one.partition("=")[2]) for one in given or []]


def conditions(given: list[str]) -> dict[str, Any]:
    """A condition a table; one of documents is a JSON object."""
    return {name: parsed(text) if text.lstrip().startswith("{") else text for name, text in pairs("--where", given)}


def parsed(text: str) -> Any:
    """JSON out of an option."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise misuse(f"{text!r} is not JSON: {fault}") from None


def columns(given: list[str]) -> dict[str, list[str]]:
    """The columns of each table."""
    found: dict[str, list[str]] = {}
    for one in given:
        table, column = column_of("--exclude", one)
        found.setdefault(table, []).append(column)
    return found


def methods(given: list[str]) -> dict[str, dict[str, str]]:
    """The method of each column of each table."""
    found: dict[str, dict[str, str]] = {}
    for name, method in pairs("--mask", given):
        table, column = column_of("--mask", name)
        found.setdefault(table, {})[column] = method
    return found


def column_of(option: str, text: str) -> tuple[str, str]:
    """A table and its column; the table's name may hold dots."""
    table, _, column = text.rpartition(".")
    if not table or not column:
        raise misuse(f"{option} must name a column as TABLE.COLUMN, not {text!r}")
    return table, column


def one(package_id: str, *rest: str) -> str:
    """The path of a package, or of something of it."""
    return "/".join((f"{PATH}/{part(package_id)}", *rest))
