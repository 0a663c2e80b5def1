"""Commands for time itself: what a reference to the past means, and when a deployment really went live."""

from typing import Annotated, Any

import typer

from entrypoints.cli.changes import offset_time
from entrypoints.cli.fields import AsOf, Id, Key, Reason
from entrypoints.cli.output import moment, print_record, print_table, word
from entrypoints.cli.session import Session, command, fit_for_header, group, part, query

TIMES = ("went_live_at", "believed_before", "recorded_at", "moment")
HEADINGS = ("RECORDED", "WENT LIVE", "BELIEVED BEFORE", "WHO", "WHY")

commands = group()


@commands.command("at")
@command
def at(
    session: Session,
    ref: Annotated[
        str,
        typer.Argument(metavar="REF", help="A time, a position, -15m, NAME@{...}, NAME~3 or NAME#412."),
    ],
) -> None:
    """Tell which position and which moment a reference means.

    A NAME is an environment, a component, or component/environment; NAME~3 is before its last three changes.

    Examples: `rollbook at production~3`, `rollbook at 'shop/production@{-15m}'`, `rollbook at -- -2h`.
    """
    session.answer(session.api.get("/v1/at", query(ref=ref)).body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints the fields that say something."""
    print_record({k: moment(v) if k in TIMES else v for k, v in body.items() if v is not None})


@commands.command("correct")
@command
def correct(
    session: Session,
    deployment_id: Id,
    went_live_at: Annotated[str, typer.Option(help="When it really went live (ISO 8601 with an offset).")],
    reason: Reason,
    key: Key = None,
) -> None:
    """Say when a deployment really went live; --valid-at answers by that, --as-of by what was believed.

    Example: `rollbook correct ID --went-live-at 2026-10-02T13:58:00Z --reason "The pods were up before the report"`.
    """
    body = {"went_live_at": offset_time(went_live_at), "reason": reason}
    session.answer(
        session.api.send("POST", of_deployment(deployment_id), body, key=fit_for_header("key", key)).body, tell
    )


@commands.command("corrections")
@command
def corrections(session: Session, deployment_id: Id, as_of: AsOf = None) -> None:
    """List what was corrected of a deployment, oldest first: rollbook corrections ID --json"""
    body = session.api.get(of_deployment(deployment_id), query(as_of=as_of)).body
    session.answer(body, lambda told: print_table(HEADINGS, [row_of(one) for one in told]))


def of_deployment(deployment_id: str) -> str:
    """Where a deployment's corrections are."""
    return f"/v1/deployments/{part(deployment_id)}/corrections"


def row_of(body: dict[str, Any]) -> list[str]:
    """A correction as a row under HEADINGS."""
    times = [moment(body[name]) for name in ("recorded_at", "went_live_at", "believed_before")]
    return [*times, word(body["actor"]), word(body["reason"])]
