"""Commands for runners: claim the next deployment, and keep the claim alive."""

import json
import platform
from typing import Annotated, Any

import typer

from entrypoints.cli.deployments import PATH, tell
from entrypoints.cli.failures import misuse
from entrypoints.cli.fields import Id
from entrypoints.cli.output import moment, note
from entrypoints.cli.session import Session, command, filled, group, part

FIELDS = ("name", "provider", "cloud_account_id", "region", "cell")

commands = group()

Lanes = Annotated[
    list[str],
    typer.Option(
        "--lane",
        metavar="LANE",
        help="name=api,provider=gcp,cloud_account_id=...,region=...,cell=... or the same as a JSON object. "
        "May be given several times.",
    ),
]

Seconds = Annotated[
    int | None,
    typer.Option(min=5, max=3600, help="How many seconds it lasts without a heartbeat, unless as the server says."),
]


@commands.command("claim")
@command
def claim(
    session: Session,
    lane: Lanes,
    runner: Annotated[str, typer.Option(help="Who you are.", show_default="this machine's name")] = "",
    lease_seconds: Seconds = None,
    override: Annotated[str | None, typer.Option("--override-freeze", help="Start in spite of a freeze: why.")] = None,
) -> None:
    """Take the next deployment of some lanes. When nothing may start, stdout stays empty (with --json: null)."""
    lanes = [lane_in(text) for text in lane]
    body = {"lanes": lanes, "runner": runner or platform.node() or "unnamed"}
    body |= filled(lease_seconds=lease_seconds, override=override)
    session.answer(session.api.send("POST", f"{PATH}/claim", body).body, tell_claim)


def lane_in(text: str) -> dict[str, Any]:
    """The taxonomy that a --lane names."""
    try:
        lane = json.loads(text) if text.startswith("{") else dict(pair.split("=", 1) for pair in text.split(","))
    except ValueError:
        raise misuse(f"--lane is neither field=value,... nor a JSON object: {text}") from None
    if unknown := lane.keys() - set(FIELDS):
        raise misuse(f"--lane has fields that no lane has: {', '.join(sorted(unknown))}")
    if not {"name", "provider"} <= lane.keys():
        raise misuse("--lane needs at least name and provider")
    return lane


def tell_claim(body: Any) -> None:
    """Prints the claimed deployment with its lease."""
    if not body:
        note("Nothing to claim")
        return
    lease = body.get("lease") or {}
    tell(
        {
            **body,
            "lease": lease.get("fence"),
            "lease_expires_at": moment(lease.get("expires_at")),
        }
    )


@commands.command("heartbeat")
@command
def heartbeat(
    session: Session,
    deployment_id: Id,
    lease: Annotated[int, typer.Option(envvar=["ROLLBOOK_LEASE"], help="The fence of your claim.")],
    lease_seconds: Seconds = None,
) -> None:
    """Keep a claim alive. Refused (exit code 1) once the lease is lost: stop working then."""
    body = {"fence": lease, **filled(lease_seconds=lease_seconds)}
    reply = session.api.send("POST", f"{PATH}/{part(deployment_id)}/heartbeat", body)
    session.answer(reply.body, lambda told: print(moment(told.get("expires_at"))))
