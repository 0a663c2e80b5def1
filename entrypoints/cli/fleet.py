"""Commands for the whole fleet: what is live where, now or then, and what differs between two moments."""

from typing import Annotated, Any

import typer

from entrypoints.cli import deployments
from entrypoints.cli.failures import Exit, Failure
from entrypoints.cli.fields import Account, Cell, Cloud, Environment, Name, Region
from entrypoints.cli.freezes import scope_in_words
from entrypoints.cli.output import moment, note, print_table, safe, word
from entrypoints.cli.session import Session, command, group, query

PATH = "/v1/fleet"
HEADINGS = ("COMPONENT", "WHERE", "ENVIRONMENT", "LIVE", "SINCE", "RUNNING", "WAITING", "BEFORE", "FLAGS")
DIFFERING = ("COMPONENT", "WHERE", "ENVIRONMENT", "LIVE", "WAS", "ALSO")
HAPPENED = ("WHEN", "WHO", "WHAT", "COMPONENT", "ENVIRONMENT", "VERSION", "WHY")
REFERENCE = "RFC 3339 time, position, -15m, production~3, production@{-1h}"
WHY = {
    "rollback-first-then-newest": "taken by a runner",
    "scheduled-before-deployed": "a newer one went live",
    "scheduled-before-claimed": "a newer one started",
    "approver-by-role": "may approve by role",
    "approver-by-claims": "may approve by claims",
}
# A time so long ago begins with a hyphen: it is no option, and -1h asks for no help.
HYPHENS = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
FLEET_HELP = """Show what is live, runs, waits, is held and frozen in every lane and environment.

\b
    rollbook fleet --environment production
    rollbook fleet --as-of -15m
    rollbook fleet --as-of 'production~3' --name shop --json
"""
DIFF_HELP = """Show what differs in the fleet between two moments, and who did what in between.

\b
    rollbook diff -1h
    rollbook diff 'production~3' --environment production
    rollbook diff 2026-10-02T12:00:00Z 2026-10-02T13:00:00Z --environment production
"""

commands = group()
When = Annotated[str | None, typer.Option("--as-of", metavar="WHEN", help=f"The fleet as it was then: {REFERENCE}.")]
From = Annotated[str, typer.Argument(metavar="FROM", help=f"The first moment: {REFERENCE}.")]
To = Annotated[str | None, typer.Argument(metavar="TO", help="The second one.", show_default="now")]
Most = Annotated[int, typer.Option("--limit", min=0, help="How many of the newest changes are printed.")]
Check = Annotated[bool, typer.Option("--check", help="Apply the difference to the first fleet, and compare.")]


@commands.command("fleet", help=FLEET_HELP)
@command
def fleet(
    session: Session,
    name: Name = None,
    environment: Environment = None,
    provider: Cloud = None,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
    as_of: When = None,
    valid_at: Annotated[
        str | None, typer.Option("--valid-at", metavar="WHEN", help="What was really live then, with all corrections.")
    ] = None,
) -> None:
    """Shows the fleet."""
    where = query(name=name, environment=environment, provider=provider, cloud_account_id=account)
    session.answer(
        whole(session, [*where, *query(region=region, cell=cell, as_of=as_of, valid_at=valid_at)]), tell_fleet
    )


def whole(session: Session, where: list[tuple[str, str]]) -> Any:
    """The fleet, over as many pages as it takes."""
    reply = session.api.get(PATH, where)
    found = reply.body
    while following := reply.next_page:
        reply = session.api.get(PATH, following)
        found["lanes"] += reply.body["lanes"]
    return found


def tell_fleet(found: dict[str, Any]) -> None:
    """Prints a row a lane and environment, and below them what is frozen."""
    rows = [row_of(lane, one) for lane in found["lanes"] for one in lane["environments"]]
    print_table(HEADINGS, sorted(rows))
    for one in found["freezes"]:
        until = f" until {moment(one['until'])}" if one["until"] else ""
        print(safe(f"Frozen: {scope_in_words(one['scope'])}{until}, by {one['by']}: {word(one['reason'])}"))
    note(f"The fleet at position {found['position']}, {moment(found['at'])}")


def row_of(lane: dict[str, Any], one: dict[str, Any]) -> list[str]:
    """A lane in one environment as a row under HEADINGS."""
    live = one["live"] or {}
    running = " ".join(word(each["version"]) for each in one["in_progress"])
    before = " ".join(word(each["version"]) for each in one["previous"])
    seen = [word(live.get("version")), moment(live.get("since")), running, queue_of(one), before]
    return [*place_of(lane, one["environment"]), *seen, " ".join(flags_of(lane["held"], one))]


def place_of(lane: dict[str, Any], environment: str) -> list[str]:
    """The component, where it is, and the environment."""
    return [word(lane["name"]), deployments.place_of(lane), word(environment)]


def queue_of(one: dict[str, Any]) -> str:
    """The versions that wait next, and how many more."""
    shown = [word(each["version"]) for each in one["waiting"][:3]]
    more = one["waiting_count"] - len(shown)
    return " ".join([*shown, *([f"+{more}"] if more else [])])


def flags_of(held: Any, one: dict[str, Any]) -> list[str]:
    """What keeps deployments back there."""
    return [*(["held"] if held else []), *(["frozen"] if one["frozen"] else [])]


@commands.command("diff", help=DIFF_HELP, context_settings=HYPHENS)
@command
def diff(
    session: Session,
    since: From,
    to: To = None,
    name: Name = None,
    environment: Environment = None,
    provider: Cloud = None,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
    limit: Most = 30,
    check: Check = False,
) -> None:
    """Shows the difference."""
    where = query(name=name, environment=environment, provider=provider, cloud_account_id=account)
    where += query(region=region, cell=cell)
    if check and to is None:
        to = str(session.api.get(PATH, query(limit=1)).body["position"])
    found = session.api.get(f"{PATH}/diff", [("from", since), *query(to=to, limit=9999), *where]).body
    session.answer(found, lambda body: tell_difference(body, limit))
    if check:
        verify(session, found, where)


def verify(session: Session, found: dict[str, Any], where: list[tuple[str, str]]) -> None:
    """Says that the difference leads from the first fleet to the second; a Failure where it does not."""
    from projections.fleet_diff import apply

    first, second = (whole(session, [*where, ("as_of", reference_to(found[side]))]) for side in ("from", "to"))
    try:
        same = apply(found, first) == second
    except ValueError as fault:
        raise Failure(f"The difference does not fit the first fleet: {fault}", Exit.REFUSED, "NO_FIT") from None
    if not same:
        raise Failure("Applied to the first fleet, the difference gives another one", Exit.REFUSED, "NO_FIT")
    note("Checked: applied to the first fleet, the difference gives the second")


def reference_to(point: dict[str, Any]) -> str:
    """What to ask for to be shown the same moment again; before the first event there is none."""
    return str(point["at"] if point["position"] else 0)


def tell_difference(found: dict[str, Any], limit: int) -> None:
    """Prints what differs, and then who did what, newest first."""
    sides = [f"{found[side]['position']} ({moment(found[side]['at'])})" for side in ("from", "to")]
    note(f"From position {sides[0]} to {sides[1]}: {found['lanes_total']} lanes")
    rows = [changed_row(lane, one) for lane in found["lanes"] for one in lane["environments"]]
    print_table(DIFFERING, sorted(rows))
    changes = sorted((one for one in happened(found)), key=lambda one: one[0], reverse=True)
    if changes:
        print()
    print_table(HAPPENED, [row for _, row in changes[:limit]])
    total = sum(lane["changes_total"] for lane in found["lanes"]) + len(found["freezes"]["changes"])
    if (hidden := total - len(changes[:limit])) > 0:
        note(f"{hidden} more changes: --limit shows more, rollbook audit has all")


def changed_row(lane: dict[str, Any], one: dict[str, Any]) -> list[str]:
    """What differs in one environment as a row under DIFFERING."""
    before, after = one["before"] or {}, one["after"] or {}
    live = [word((side.get("live") or {}).get("version")) for side in (after, before)]
    return [*place_of(lane, one["environment"]), *live, ", ".join(also(lane["held"], before, after))]


def also(held: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What else differs, in words."""
    told = []
    counts = [side.get("waiting_count", 0) for side in (before, after)]
    running = [" ".join(word(one["version"]) for one in side.get("in_progress", ())) for side in (before, after)]
    if counts[0] != counts[1]:
        told.append(f"waiting {counts[0]} -> {counts[1]}")
    if running[0] != running[1]:
        told.append(f"running {running[0] or 'nothing'} -> {running[1] or 'nothing'}")
    if bool(before.get("frozen")) != bool(after.get("frozen")):
        told.append("frozen" if after.get("frozen") else "thawed")
    if bool(held["before"]) != bool(held["after"]):
        told.append("held" if held["after"] else "released")
    return told


def happened(found: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Every change with its moment, as a row under HAPPENED."""
    rows = [(one["recorded_at"], lane_row(lane, one)) for lane in found["lanes"] for one in lane["changes"]]
    return rows + [(one["at"], freeze_row(one)) for one in found["freezes"]["changes"]]


def lane_row(lane: dict[str, Any], one: dict[str, Any]) -> list[str]:
    """A change in a lane. What was skipped is told of all that were, together."""
    about = [{name: one[name] for name in ("environment", "version")}, *one["skipped"]]
    environments, versions = (dict.fromkeys(word(each[name]) for each in about if each[name]) for name in about[0])
    what = [moment(one["recorded_at"]), word(one["actor"]), word(one["kind"]).replace("_", " ")]
    why = WHY.get(one["reason"], word(one["reason"]))
    return [*what, word(lane["name"]), " ".join(environments), " ".join(versions), why]


def freeze_row(one: dict[str, Any]) -> list[str]:
    """What happened to a freeze."""
    what = {"declared": "froze", "lifted": "thawed", "ran_out": "freeze ran out"}.get(one["kind"], one["kind"])
    scope = scope_in_words(one["scope"])
    return [moment(one["at"]), word(one["actor"]), what, scope, "", "", word(one["reason"])]
