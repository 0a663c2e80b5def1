"""Commands that move deployments: create, update, release, rollback, approve."""

from datetime import datetime
from typing import Annotated, Any

import typer

from domain.status import Status
from entrypoints.cli.deployments import PATH, tell
from entrypoints.cli.failures import misuse
from entrypoints.cli.fields import (
    Account,
    Cell,
    Cloud,
    Environment,
    Id,
    Key,
    Kind,
    Name,
    Provider,
    Reason,
    Region,
)
from entrypoints.cli.session import Session, command, filled, fit_for_header, group, part, query

commands = group()

Text = Annotated[str | None, typer.Option()]
IfMatch = Annotated[
    str | None,
    typer.Option("--if-match", help="Only if the deployment's ETag is still this."),
]
Override = Annotated[
    str | None,
    typer.Option("--override-freeze", help="Start in spite of a freeze: why."),
]
Lease = Annotated[
    int | None,
    typer.Option(
        "--lease",
        envvar=["ROLLBOOK_LEASE"],
        help="The fence of your claim, if you claimed it.",
    ),
]


@commands.command("create")
@command
def create(
    session: Session,
    name: Annotated[str, typer.Option(help="Component or service.")],
    version: Annotated[str, typer.Option(help="What to deploy.")],
    provider: Annotated[Provider, typer.Option(help="Cloud provider.")],
    kind: Annotated[Kind, typer.Option("--type", help="What kind of thing it is.")],
    environment: Environment = None,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
    auto: Annotated[bool, typer.Option("--auto/--manual", help="May it start by itself?")] = True,
    commit_sha: Text = None,
    pipeline_extra_params: Text = None,
    description: Text = None,
    notes: Text = None,
    build_uri: Text = None,
    deployment_uri: Text = None,
    resource: Text = None,
    committed_at: Text = None,
    change_url: Text = None,
    incident_id: Text = None,
    key: Key = None,
) -> None:
    """Queue a version for a taxonomy."""
    given = {k: v for k, v in locals().items() if k not in ("session", "kind", "account", "key", "committed_at")}
    extra = filled(type=kind, cloud_account_id=account, committed_at=offset_time(committed_at))
    session.answer(session.api.send("POST", PATH, filled(**given) | extra, key=fit_for_header("key", key)).body, tell)


def offset_time(text: str | None) -> str | None:
    """A time as it was given, which must say its offset from UTC."""
    try:
        if text is not None and datetime.fromisoformat(text).tzinfo is None:
            raise misuse(f"A time needs an offset from UTC, like {text}Z")
    except ValueError:
        raise misuse("A time looks like 2026-01-31T12:00:00Z") from None
    return text


@commands.command("update")
@command
def update(
    session: Session,
    deployment_id: Id,
    status: Annotated[Status | None, typer.Option(help="What became of it.")] = None,
    notes: Annotated[str | None, typer.Option(help="Notes; an empty text removes them.")] = None,
    deployment_uri: Annotated[str | None, typer.Option(help="Where it runs; an empty text removes it.")] = None,
    if_match: IfMatch = None,
    lease: Lease = None,
    override: Override = None,
) -> None:
    """Say what became of a deployment."""
    changed = {k: v or None for k, v in filled(notes=notes, deployment_uri=deployment_uri).items()}
    if status is None and not changed:
        raise misuse("Nothing to update: give --status, --notes or --deployment-uri")
    patch(
        session,
        deployment_id,
        changed | filled(status=status, lease=lease, override=override),
        if_match,
    )


@commands.command("release")
@command
def release(
    session: Session,
    deployment_id: Id,
    if_match: IfMatch = None,
    lease: Lease = None,
    override: Override = None,
) -> None:
    """Start a scheduled deployment now: it becomes in_progress."""
    body = filled(status=Status.IN_PROGRESS, lease=lease, override=override)
    patch(session, deployment_id, body, if_match)


def patch(session: Session, deployment_id: str, body: dict[str, Any], if_match: str | None) -> None:
    """Changes a deployment and prints it."""
    headers = filled(**{"If-Match": fit_for_header("ETag", if_match)})
    session.answer(
        session.api.send("PATCH", f"{PATH}/{part(deployment_id)}", body, headers=headers).body,
        tell,
    )


@commands.command("rollback")
@command
def rollback(
    session: Session,
    deployment_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="What to replace at once.")] = None,
    name: Name = None,
    provider: Cloud = None,
    account: Account = None,
    region: Region = None,
    cell: Cell = None,
    environment: Environment = None,
    target_version: Annotated[str | None, typer.Option(help="Go back to this version.")] = None,
    override: Override = None,
    key: Key = None,
) -> None:
    """Go back: replace the deployment ID at once, or queue for a taxonomy what was live before."""
    where = filled(
        name=name,
        provider=provider,
        cloud_account_id=account,
        region=region,
        cell=cell,
        environment=environment,
    )
    path = rollback_path(deployment_id, where)
    if override and deployment_id is None:
        raise misuse("Only a rollback of an ID starts at once; what is queued starts with --override-freeze of a claim")
    sent = query(**where, target_version=target_version, override=override)
    session.answer(session.api.send("POST", path, query=sent, key=fit_for_header("key", key)).body, tell)


def rollback_path(deployment_id: str | None, where: dict[str, Any]) -> str:
    """The route for one of the two ways of going back; it must be clear which is meant."""
    if deployment_id is not None and not where:
        return f"{PATH}/{part(deployment_id)}/rollback"
    if deployment_id is None and {"name", "provider"} <= where.keys():
        return f"{PATH}/rollback"
    raise misuse("Give either an ID or at least --name and --provider")


@commands.command("approve")
@command
def approve(session: Session, deployment_id: Id, reason: Reason) -> None:
    """Approve a deployment that waits for it; not one's own."""
    path = f"{PATH}/{part(deployment_id)}/approve"
    session.answer(session.api.send("POST", path, {"reason": reason}).body, tell)
