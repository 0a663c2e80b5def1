"""The command that tells why something is live, or why it is not."""

import json
import re
from typing import Annotated, Any
from uuid import UUID

import typer

from entrypoints.cli.deployments import place_of, run_of
from entrypoints.cli.failures import Exit, Failure, misuse
from entrypoints.cli.fields import AsOf
from entrypoints.cli.output import moment, safe, word
from entrypoints.cli.session import Session, command, group, part, query

commands = group()
INDENT = "    "
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


@commands.command("why")
@command
def why(
    session: Session,
    of: Annotated[str, typer.Argument(metavar="ID", help="A deployment's id, a lane's, or a component of one lane.")],
    environment: Annotated[
        str | None, typer.Option("--environment", "--env", help="Of a lane: what is live in this environment.")
    ] = None,
    as_of: AsOf = None,
) -> None:
    """Tell why a deployment is live or is not, and why this is what is live in a lane.

    
            rollbook why 6b6f0c1e-... --as-of -2h
            rollbook why checkout-api --environment production
    """
    session.answer(found(session, of, environment, as_of), tell)


def found(session: Session, of: str, environment: str | None, as_of: str | None) -> Any:
    """Of a deployment, or else of a lane of this id."""
    if environment is None:
        try:
            return session.api.get(f"/v1/deployments/{part(of)}/why", query(as_of=as_of)).body
        except Failure as failure:
            if failure.exit_code != Exit.NOT_FOUND:
                raise
    lane = of if is_id(of) else lane_of(session, of, environment, as_of)
    asked = query(environment=environment, as_of=as_of)
    return session.api.get(f"/v1/lanes/{part(lane)}/why", asked).body


def lane_of(session: Session, component: str, environment: str | None, as_of: str | None) -> str:
    """The id of the component's only lane; a Failure that names them where there are several."""
    lanes = session.api.get("/v1/fleet", query(name=component, environment=environment, as_of=as_of)).body["lanes"]
    if len(lanes) == 1:
        return str(lanes[0]["id"])
    if not lanes:
        raise Failure(f"{component} is neither a deployment nor a component here", Exit.NOT_FOUND, "NOT_FOUND")
    ids = ", ".join(f"{one['id']} ({place_of(one)})" for one in lanes)
    raise misuse(f"{component} has {len(lanes)} lanes: name one of {ids}")


def is_id(text: str) -> bool:
    """Whether it could name a lane."""
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def tell(body: dict[str, Any]) -> None:
    """Prints the story: what it is, why it stands so, and how it came there."""
    for line in story(body):
        print(safe(MOMENT.sub(lambda found: moment(found.group()), line)).rstrip())


def story(body: dict[str, Any]) -> list[str]:
    """All lines."""
    reasons = [f"{INDENT}{one['words']}" + under(one) for one in body["verdict"]["reasons"]]
    lines = [*head(body), f"{body['verdict']['state']}, because:", *reasons]
    links = [line for one in body["chain"] for line in link(one)]
    return [*lines, "", "How it came there:", *links] if links else lines


def under(reason: dict[str, Any]) -> str:
    """The rule of a reason."""
    return f" [{reason['rule']}]" if reason.get("rule") else ""


def head(body: dict[str, Any]) -> list[str]:
    """What it is about."""
    if "deployment_id" in body:
        return [f"{body['name']} {body['version']} in {body['environment']} ({body['deployment_id']})"]
    return [f"{which}: {placed(body[which])}" for which in ("live", "before")]


def placed(one: Any) -> str:
    """A deployment in its lane."""
    if not one:
        return "nothing"
    return f"{one['version']} in {one['environment']} since {moment(one['since'])} ({one['deployment_id']})"


def link(one: dict[str, Any]) -> list[str]:
    """An event, with what it rests on under it."""
    when = f"{INDENT}{moment(one['at'])}  #{one['position']}  {one['summary']}, by {one['actor']}"
    return [when, *(f"{INDENT * 2}{said}" for said in facts(one))]


def facts(one: dict[str, Any]) -> list[str]:
    """What is known of an event beside what happened."""
    told = []
    if commit := {k: v for k, v in (one.get("commit") or {}).items() if v is not None and k != "version"}:
        told.append("commit " + "  ".join(f"{name}={word(value)}" for name, value in commit.items()))
    if run := run_of(one.get("run")):
        told.append(f"run {run}")
    if one.get("rule"):
        told.append(f"rule {one['rule']}  {json.dumps(one.get('inputs'), ensure_ascii=False)}")
    return [*told, f"event {one['event_id']}  hash {one['hash'][:16]}"]
