"""Commands for lanes: what is live where, and the hold that a rollback leaves behind."""

from typing import Annotated, Any

import typer

from entrypoints.cli import deployments
from entrypoints.cli.fields import (
    Account,
    AsOf,
    Cell,
    Cloud,
    Name,
    NoCell,
    Provider,
    Reason,
    Region,
    ValidAt,
)
from entrypoints.cli.output import note, print_table, word
from entrypoints.cli.session import Session, command, filled, group, query

HEADINGS = ("NAME", "WHERE", "LIVE", "IN PROGRESS", "WAITING", "BEFORE", "HELD")

commands = group()
one_lane = group()
commands.add_typer(one_lane, name="lane", help="One lane.")


@commands.command("lanes")
@command
def lanes(
    session: Session,
    name: Name = None,
    provider: Cloud = None,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
    no_cell: NoCell = False,
    current: Annotated[bool, typer.Option("--current", help="Only the deployments that are live.")] = False,
    as_of: AsOf = None,
    valid_at: ValidAt = None,
) -> None:
    """Show each lane: what is live, what runs, what waits, what ran before; with --valid-at what was live then."""
    where = query(name=name, provider=provider, cloud_account_id=account, region=region, cell=cell)
    where += query(cell_is_null=no_cell or None, as_of=as_of, valid_at=valid_at)
    only_live = current or valid_at is not None
    path = "/v1/lanes/current" if only_live else "/v1/lanes"
    found = list(deployments.each(session, where, None, path))
    session.answer(found, tell_live if only_live else tell)


def tell(lanes_found: list[dict[str, Any]]) -> None:
    """Prints a row a lane."""
    print_table(HEADINGS, [row_of(lane) for lane in lanes_found])


def tell_live(live: list[dict[str, Any]]) -> None:
    """Prints a row a deployment."""
    print_table(deployments.HEADINGS, [deployments.row_of(d) for d in live])


def row_of(lane: dict[str, Any]) -> list[str]:
    """A lane as a row under HEADINGS."""
    seen = [versions(lane.get(k)) for k in ("live", "in_progress", "waiting", "previous")]
    return [
        word(lane.get("name")),
        deployments.place_of(lane),
        *seen,
        "held" if lane.get("held") else "",
    ]


def versions(value: Any) -> str:
    """The versions of one deployment or several; a number stays a number."""
    if isinstance(value, list):
        return " ".join(versions(one) for one in value)
    return word(value.get("version")) if isinstance(value, dict) else word(value)


@one_lane.command("release-hold")
@command
def release_hold(
    session: Session,
    name: Annotated[str, typer.Option(help="Component or service.")],
    provider: Annotated[Provider, typer.Option(help="Cloud provider.")],
    reason: Reason,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
) -> None:
    """Let automatic deployments start again after a rollback."""
    taxonomy = filled(name=name, provider=provider, cloud_account_id=account, region=region, cell=cell)
    body = session.api.send("POST", "/v1/lanes/release", {**taxonomy, "reason": reason}).body
    session.answer(body, lambda _: note("The hold is released"))


@one_lane.callback()
def lane() -> None:
    """One lane."""
