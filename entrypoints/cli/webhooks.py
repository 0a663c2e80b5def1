"""Commands for webhooks: subscribe, change, hold back, look at deliveries, send them once more."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.fields import AsOf, WhyNot
from entrypoints.cli.output import moment, note, print_record, print_table, safe, word
from entrypoints.cli.session import Session, command, filled, group, part, query

PATH = "/v1/webhooks"
HEADINGS = ("ID", "NAME", "HOST", "STATUS", "FILTERS", "CREATED", "BY")
DELIVERIES = ("ID", "POSITION", "TOPIC", "STATE", "TRIES", "ANSWER", "TRIED", "DUE")
FILTERS = "Filters"

commands = group()
webhook = group()
commands.add_typer(webhook, name="webhook", help="Tell others of events by HTTP.")


class Status(StrEnum):
    """How a webhook stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"


class State(StrEnum):
    """How a delivery stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


Id = Annotated[str, typer.Argument(metavar="ID", help="A webhook's id.")]
Url = Annotated[str | None, typer.Option(envvar="ROLLBOOK_WEBHOOK_URL", help="Where to; kept sealed, never shown.")]
Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topic", help="Such as deployment.failed or deployment.*; several are alternatives.", rich_help_panel=FILTERS
    ),
]
Aggregates = Annotated[
    list[str] | None, typer.Option("--aggregate", help="Such as deployment or freezes.", rich_help_panel=FILTERS)
]
Environments = Annotated[
    list[str] | None, typer.Option("--environment", "--env", help="Environment.", rich_help_panel=FILTERS)
]
Names = Annotated[list[str] | None, typer.Option("--name", help="Component or service.", rich_help_panel=FILTERS)]
Lanes = Annotated[list[str] | None, typer.Option("--lane", help="A lane's id.", rich_help_panel=FILTERS)]


@webhook.callback()
def webhooks() -> None:
    """Tell others of events by HTTP."""


@webhook.command(
    "add", epilog="rollbook webhook add on-call --url https://hooks.example.com/x --topic deployment.failed"
)
@command
def add(
    session: Session,
    title: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    url: Url = None,
    topic: Topics = None,
    aggregate: Aggregates = None,
    environment: Environments = None,
    name: Names = None,
    lane: Lanes = None,
) -> None:
    """Tell an address of events; its secret is printed once: rollbook webhook add NAME --url URL --topic 'lane.*'"""
    if url is None:
        raise misuse("Give --url, or set ROLLBOOK_WEBHOOK_URL")
    filters = wanted(topic, aggregate, environment, name, lane)
    body = {"name": title, "url": url} | filled(filters=filters or None)
    session.answer(session.api.send("POST", PATH, body).body, tell_secret)


def wanted(topic: Any, aggregate: Any, environment: Any, name: Any, lane: Any) -> dict[str, Any]:
    """The filters that were given."""
    return filled(
        topics=topic or None,
        aggregates=aggregate or None,
        environments=environment or None,
        names=name or None,
        lanes=lane or None,
    )


def tell_secret(body: dict[str, Any]) -> None:
    """The secret alone on stdout, so that it can be stored without cutting."""
    if not body.get("secret"):
        lost = f"Webhook {word(body.get('id'))} is there, but its secret was lost on the way: rotate it"
        raise Failure(lost, Exit.UNAVAILABLE, "SECRET_LOST")
    note(safe(f"Webhook {word(body['id'])}: keep its secret now, it is not shown again"))
    print(safe(body["secret"]))


@webhook.command("list")
@command
def listed(
    session: Session,
    status: Annotated[Status | None, typer.Option(help="Only these.")] = None,
    as_of: AsOf = None,
) -> None:
    """List webhooks, newest first; never their addresses."""
    body = session.api.get(PATH, query(status=status, as_of=as_of)).body
    session.answer(body, lambda told: print_table(HEADINGS, [row_of(one) for one in told]))


def row_of(body: dict[str, Any]) -> list[str]:
    """A webhook as a row under HEADINGS."""
    first = [word(body[name]) for name in ("id", "name", "host", "status")]
    return [*first, filters_in_words(body["filters"]), moment(body["created_at"]), word(body["created_by"])]


def filters_in_words(filters: dict[str, list[str]]) -> str:
    """What is let through."""
    return " ".join(f"{kind}={','.join(map(word, values))}" for kind, values in filters.items()) or "everything"


@webhook.command("show")
@command
def show(session: Session, webhook_id: Id, as_of: AsOf = None) -> None:
    """Show one webhook, also after it was removed."""
    session.answer(session.api.get(f"{PATH}/{part(webhook_id)}", query(as_of=as_of)).body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints a webhook's fields, without those that are empty."""
    shown = {**body, "filters": filters_in_words(body["filters"])}
    print_record({k: moment(v) if k.endswith("_at") else v for k, v in shown.items() if v is not None})


@webhook.command("change")
@command
def change(
    session: Session,
    webhook_id: Id,
    title: Annotated[str | None, typer.Option("--title", help="What it is for.")] = None,
    url: Url = None,
    everything: Annotated[bool, typer.Option("--all", help="No filters any more.", rich_help_panel=FILTERS)] = False,
    topic: Topics = None,
    aggregate: Aggregates = None,
    environment: Environments = None,
    name: Names = None,
    lane: Lanes = None,
) -> None:
    """Give a webhook another name, address, or filters in the place of all it has. Needs role admin."""
    filters = wanted(topic, aggregate, environment, name, lane)
    if everything and filters:
        raise misuse("Give --all or filters, not both")
    body = filled(name=title, url=url) | ({"filters": filters} if everything or filters else {})
    session.answer(session.api.send("PATCH", f"{PATH}/{part(webhook_id)}", body).body, tell)


@webhook.command("pause")
@command
def pause(session: Session, webhook_id: Id, reason: WhyNot = None) -> None:
    """Deliver nothing for a while; what happens meanwhile is delivered afterwards. Needs role admin."""
    session.answer(session.api.send("POST", f"{PATH}/{part(webhook_id)}/pause", filled(reason=reason)).body, tell)


@webhook.command("resume")
@command
def resume(session: Session, webhook_id: Id) -> None:
    """Deliver again, first what happened meanwhile. Needs role admin."""
    session.answer(session.api.send("POST", f"{PATH}/{part(webhook_id)}/resume").body, tell)


@webhook.command("rotate-secret")
@command
def rotate_secret(session: Session, webhook_id: Id) -> None:
    """Sign with another secret, printed this once; for a day the one before it signs too. Needs role admin."""
    session.answer(session.api.send("POST", f"{PATH}/{part(webhook_id)}/rotate-secret").body, tell_secret)


@webhook.command("remove")
@command
def remove(session: Session, webhook_id: Id) -> None:
    """End a webhook for good. Needs role admin."""
    body = session.api.send("DELETE", f"{PATH}/{part(webhook_id)}").body
    session.answer(body, lambda told: note(safe(f"{word(told['name'])} is removed")))


@webhook.command("deliveries")
@command
def deliveries(
    session: Session,
    webhook_id: Id,
    state: Annotated[State | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    before: Annotated[int | None, typer.Option(min=0, help="Only of events before this position.")] = None,
    as_of: AsOf = None,
) -> None:
    """List what has become of deliveries, newest event first: rollbook webhook deliveries ID --state dead"""
    wanted = query(state=state, limit=limit, before=before, as_of=as_of)
    body = session.api.get(f"{PATH}/{part(webhook_id)}/deliveries", wanted).body
    session.answer(body, lambda told: print_table(DELIVERIES, [delivery_row(one) for one in told]))


def delivery_row(body: dict[str, Any]) -> list[str]:
    """A delivery as a row under DELIVERIES."""
    first = [word(body[name]) for name in ("id", "position", "topic", "state", "attempts")]
    said = word(body["problem"] or body["status"])
    tried = moment(body["tried_at"]) if body["tried_at"] else ""
    return [*first, said, tried, moment(body["due_at"]) if body["state"] == "waiting" else ""]


@webhook.command("replay", epilog="rollbook webhook replay ID --dead, or --after=-2h, or --delivery DELIVERY")
@command
def replay(
    session: Session,
    webhook_id: Id,
    dead: Annotated[bool, typer.Option("--dead", help="All that was given up.")] = False,
    after: Annotated[str | None, typer.Option(metavar="TIME|POSITION", help="Everything after this.")] = None,
    delivery: Annotated[str | None, typer.Option(help="One delivery's id.")] = None,
) -> None:
    """Send deliveries once more, under the same ids: rollbook webhook replay ID --dead"""
    if [dead, after is not None, delivery is not None].count(True) != 1:
        raise misuse("Give one of --dead, --after and --delivery")
    path = f"{PATH}/{part(webhook_id)}"
    if delivery is not None:
        body = session.api.send("POST", f"{path}/deliveries/{part(delivery)}/replay").body
        return session.answer(body, lambda told: print_table(DELIVERIES, [delivery_row(told)]))
    asked = {"state": "dead"} if dead else {"after": after}
    session.answer(session.api.send("POST", f"{path}/replay", asked).body, tell_replay)


def tell_replay(body: dict[str, Any]) -> None:
    """Says how many are due again."""
    if body["deliveries"] is None:
        return note(f"Everything after position {word(body['after'])} is told once more")
    note(f"{word(body['deliveries'])} deliveries are due again")


@webhook.command("test")
@command
def test(session: Session, webhook_id: Id) -> None:
    """Send a ping; exit code 1 when the receiver does not take it."""
    body = session.api.send("POST", f"{PATH}/{part(webhook_id)}/test").body
    session.answer(body, lambda told: print_record({k: v for k, v in told.items() if v is not None}))
    if not body["ok"]:
        raise Failure(word(body["problem"]), Exit.REFUSED, "WEBHOOK_NOT_REACHED")
