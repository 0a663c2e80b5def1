"""Commands that deploy packages, say what that would do, and take deployments back."""

from typing import Annotated, Any

import typer

from entrypoints.cli import package_group as given
from entrypoints.cli.fields import Key, WhyNot
from entrypoints.cli.following import follow
from entrypoints.cli.output import moment, note, print_record, print_table, safe, word
from entrypoints.cli.package_group import one, package
from entrypoints.cli.package_making import Detach
from entrypoints.cli.session import Session, command, filled, part

PATH = "/api/deployments"
DONE = ("TABLE", "NEW", "CHANGED", "SAME", "FAILED")
WOULD = ("TABLE", "NEW", "CHANGED", "SAME", "CONFLICTS")
GOES_ON = 202
RULES = "How rows are deployed"
Target = Annotated[str, typer.Option("--environment", "--env", help="Where it goes.")]


def rule(name: str, help: str) -> Any:
    """An option about how rows are deployed; left out, the server's own default holds."""
    return typer.Option(f"--{name}/--no-{name}", help=help, rich_help_panel=RULES, show_default=False)


Skip = Annotated[bool | None, rule("skip-existing", "Leave rows that exist as they are.")]
Update = Annotated[bool | None, rule("update-existing", "Bring rows that exist up to date.")]
References = Annotated[bool | None, rule("validate-references", "Look for missing rows before the first write.")]
Missing = Annotated[bool | None, rule("create-missing", "Also deploy missing rows that the package holds.")]
GoOn = Annotated[bool | None, rule("continue-on-error", "Keep good rows when others fail.")]
Force = Annotated[bool | None, rule("force", "Also where later changes are overwritten.")]


@package.command("deploy")
@command
def deploy(
    session: Session,
    package_id: given.Id,
    environment: Target,
    skip_existing: Skip = None,
    update_existing: Update = None,
    validate_references: References = None,
    create_missing: Missing = None,
    continue_on_error: GoOn = None,
    force: Force = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Try it, and leave nothing behind.")] = False,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="Not before this moment (RFC 3339).")] = None,
    detach: Detach = False,
    key: Key = None,
) -> None:
    """Deploy a package to an environment."""
    rules = {"skip_existing": skip_existing, "update_existing": update_existing, "create_missing": create_missing}
    rules |= {"validate_references": validate_references, "continue_on_error": continue_on_error, "force": force}
    options = filled(**rules) | ({"dry_run": True} if dry_run else {})
    body = {"environment": environment, "options": options, "run_as_background": True, **filled(schedule_at=at)}
    reply = session.api.send("POST", one(package_id, "deploy"), body, key=key)
    if detach or at:
        session.answer(reply.body, lambda told: note(safe(f"{word(told['message'])}: {word(told['job_id'])}")))
        return
    job = follow(session, reply.body["job_id"])
    if dry_run:
        session.answer(job, lambda told: tell_counts(told["result"]["deployed"]["tables"]))
        return
    session.answer(session.api.get(f"{PATH}/{part(job['job_id'])}").body, tell)


def tell(body: dict[str, Any]) -> None:
    """Prints a deployment, and what became of the rows of each table."""
    record = body["deployment"]
    members = ("id", "packagename", "packageversion", "environment", "databasename", "status")
    print_record({name: record[name] for name in members} | {"deployedat": moment(record["deployedat"])})
    for warning in record["warninglog"]:
        note(safe(f"warning: {word(warning)}"))
    tell_counts(record["recordcounts"])


def tell_counts(tables: dict[str, Any]) -> None:
    """Prints a line a table."""
    kinds = ("new", "changed", "same", "failed")
    print_table(DONE, [[name, *(word(counts[kind]) for kind in kinds)] for name, counts in tables.items()])


@package.command("diff")
@command
def diff(
    session: Session,
    package_id: given.Id,
    environment: Target,
    skip_existing: Skip = None,
    update_existing: Update = None,
) -> None:
    """Show what a deployment would do; changes nothing."""
    options = filled(skip_existing=skip_existing, update_existing=update_existing)
    body = session.api.send("POST", one(package_id, "diff"), {"environment": environment, "options": options}).body
    session.answer(body, tell_differences)


def tell_differences(body: dict[str, Any]) -> None:
    """Prints a line a table."""
    kinds = ("new", "changed", "same", "conflict")
    print_table(WOULD, [[name, *(word(one[kind]) for kind in kinds)] for name, one in body["tables"].items()])


@package.command("rollback")
@command
def rollback(
    session: Session,
    deployment_id: Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="A deployment's id.")],
    reason: WhyNot = None,
    force: Annotated[bool, typer.Option("--force", help="Also where later changes are lost.")] = False,
    key: Key = None,
) -> None:
    """Take a deployment of a package back."""
    path = f"{PATH}/{part(deployment_id)}"
    reply = session.api.send("POST", f"{path}/rollback", filled(reason=reason, force=force or None), key=key)
    if reply.status == GOES_ON:
        follow(session, reply.body["job_id"])
        reply = session.api.get(path)
    session.answer(reply.body, tell_back)


def tell_back(body: dict[str, Any]) -> None:
    """Prints what was taken back."""
    record = body["deployment"]
    note(safe(f"{word(record['id'])} is {word(record['status'])}"))
