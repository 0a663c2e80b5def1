"""Commands that look at deployments: list, show, history."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from entrypoints.cli.failures import Exit, Failure
from entrypoints.cli.fields import (
    Account,
    AsOf,
    Cell,
    Cloud,
    Environment,
    Id,
    Name,
    NoCell,
    Region,
    Statuses,
    Triggers,
)
from entrypoints.cli.output import moment, note, print_record, print_table, word
from entrypoints.cli.session import Session, command, group, part, query

PATH = "/v1/deployments"
PAGE = 1000
HEADINGS = (
    "ID",
    "CREATED",
    "NAME",
    "VERSION",
    "ENVIRONMENT",
    "WHERE",
    "STATUS",
    "TRIGGER",
    "BY",
)
TIMES = ("created_at", "updated_at")

commands = group()

Limit = Annotated[int, typer.Option(min=0, help="How many at most, over as many pages as it takes.")]
Everything = Annotated[bool, typer.Option("--all", help="All that match, whatever their number.")]
Count = Annotated[bool, typer.Option("--count", help="Print only how many match.")]
Since = Annotated[
    str | None,
    typer.Option(help="Created at or after this time (ISO 8601 with an offset)."),
]
Until = Annotated[str | None, typer.Option(help="Created at or before this time.")]
Sort = Annotated[
    str | None,
    typer.Option(help="created_at for the oldest first; -created_at is what it does anyway."),
]


@commands.command("list")
@command
def listed(
    session: Session,
    status: Statuses = None,
    name: Name = None,
    environment: Environment = None,
    provider: Cloud = None,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
    no_cell: NoCell = False,
    trigger: Triggers = None,
    since: Since = None,
    until: Until = None,
    sort: Sort = None,
    as_of: AsOf = None,
    limit: Limit = 100,
    everything: Everything = False,
    count: Count = False,
) -> None:
    """List deployments, newest first."""
    where = filters(status, name, environment, provider, account, region, cell, no_cell, trigger)
    where += query(since=since, until=until, sort=sort, as_of=as_of)
    if count:
        session.answer(counted(session, where), lambda body: print(body["total"]))
    else:
        tell_list(session, where, None if everything else limit)


def filters(
    status: Any,
    name: Any,
    environment: Any,
    provider: Any,
    account: Any,
    region: Any,
    cell: Any,
    no_cell: bool,
    trigger: Any,
) -> list[tuple[str, str]]:
    """The query that the filter options stand for."""
    return query(
        status=status,
        name=name,
        environment=environment,
        provider=provider,
        cloud_account_id=account,
        region=region,
        cell=cell,
        cell_is_null=no_cell or None,
        trigger=trigger,
    )


def tell_list(session: Session, where: list[tuple[str, str]], limit: int | None) -> None:
    """Prints what matches and says when that is not all."""
    found = list(islice(each(session, where, limit), None if limit is None else limit + 1))
    shown = found if limit is None else found[:limit]
    session.answer(shown, lambda rows: print_table(HEADINGS, [row_of(d) for d in rows]))
    if len(found) > len(shown) and not session.as_json:
        note(f"There are more than {limit}: --limit or --all shows them")


def each(
    session: Session, where: list[tuple[str, str]], wanted: int | None, path: str = PATH
) -> Iterator[dict[str, Any]]:
    """Everything that matches, page after page, until there is no next page or it repeats itself."""
    size = PAGE if wanted is None else min(wanted + 1, PAGE)
    page: Any = [*where, ("limit", str(size))]
    asked = set()
    while page and tuple(page) not in asked:
        asked.add(tuple(page))
        reply = session.api.get(path, page)
        yield from reply.rows
        page = reply.next_page


def counted(session: Session, where: list[tuple[str, str]]) -> dict[str, int]:
    """How many match, as the server counts them."""
    reply = session.api.get(PATH, [*where, ("limit", "1")], {"Prefer": "count=exact"})
    total = reply.headers.get("x-total-count", "")
    if not total.isdecimal():
        raise Failure(
            "The server does not count deployments",
            Exit.UNAVAILABLE,
            "NOT_COUNTED",
            reply.status,
        )
    return {"total": int(total)}


def row_of(deployment: dict[str, Any]) -> list[str]:
    """A deployment as a row under HEADINGS."""
    named = [word(deployment.get(k)) for k in ("name", "version", "environment")]
    ended = [word(deployment.get(k)) for k in ("status", "trigger", "created_by_actor")]
    return [
        word(deployment.get("id")),
        moment(deployment.get("created_at")),
        *named,
        place_of(deployment),
        *ended,
    ]


def place_of(taxonomy: dict[str, Any]) -> str:
    """Provider, account, region and cell, as far as they are known."""
    parts = [taxonomy.get(k) for k in ("provider", "cloud_account_id", "region", "cell")]
    return "/".join(word(p) for p in parts if p)


@commands.command("show")
@command
def show(session: Session, deployment_id: Id, as_of: AsOf = None) -> None:
    """Show one deployment, now or at any moment of the past."""
    session.answer(session.api.get(f"{PATH}/{part(deployment_id)}", query(as_of=as_of)).body, tell)


def tell(deployment: dict[str, Any]) -> None:
    """Prints a deployment's fields, without those that are empty."""
    print_record({k: moment(v) if k in TIMES else v for k, v in deployment.items() if v is not None})


@commands.command("history")
@command
def history(session: Session, deployment_id: Id, as_of: AsOf = None) -> None:
    """Tell what happened to a deployment: when, what, who, why, from which run."""
    body = session.api.get(f"{PATH}/{part(deployment_id)}/history", query(as_of=as_of)).body
    session.answer(
        body,
        lambda told: print_table(ENTRY_HEADINGS, [entry_of(e) for e in told["entries"]]),
    )


ENTRY_HEADINGS = ("AT", "WHAT", "TOPIC", "WHO", "WHY", "RUN")


def entry_of(entry: dict[str, Any]) -> list[str]:
    """An entry of a history as a row under ENTRY_HEADINGS."""
    said = [word(entry.get(k)) for k in ("summary", "topic", "actor", "reason")]
    return [moment(entry.get("at")), *said, run_of(entry.get("run"))]


def run_of(run: Any) -> str:
    """Which run of which workflow of which repository."""
    if not isinstance(run, dict):
        return word(run)
    return " ".join(word(run[k]) for k in ("repository", "workflow", "run_id", "run_attempt") if run.get(k))
