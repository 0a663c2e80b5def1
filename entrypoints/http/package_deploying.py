"""Deploying packages: now, while the caller waits, or by a job; and what a deployment would do."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from application import data_deployments as commands
from application.deploying import lineage_of, refuse_other_kind
from application.ports.databases import Order
from application.ports.environments import Environment
from domain.errors import Clash, Invalid, NotFound, TooLarge, Unavailable
from domain.job_status import ENDED, JobStatus
from entrypoints.admission import refuse_unsigned
from entrypoints.http import data_deployment_models as models
from entrypoints.http.commands import command_key, execute
from entrypoints.http.data_deployment_answers import find_deployment, rehearsal_of, result_of
from entrypoints.http.deployment_waiting import scheduled
from entrypoints.http.package_answers import PREFIX, find_package, parse_package_id
from entrypoints.http.package_reading import ONE
from entrypoints.http.packages import packages
from entrypoints.http.reading import reading
from entrypoints.http.routing import Answer, Call, answer
from entrypoints.http.waiting import present_job, refuse, until_ended
from projections.read_model import Row


@packages.post(
    f"{ONE}/deploy",
    action="package.deploy",
    answer=models.DeployedPackage,
    also={202: models.ScheduledJob},
    raises=(NotFound, Clash, Invalid, TooLarge, Unavailable),
)
async def deploy_package(call: Call, package_id: str, body: models.DeployBody) -> Answer:
    """Deploy a package to an environment; 202 with a job where that is to be later, or takes longer than a request."""
    later = body.run_as_background or body.schedule_at is not None
    status = 202 if later else 200
    if not await is_repeat(call, status):
        await fitting(call, package_id, body.environment)
    command = commands.DeployPackage(
        package_id=parse_package_id(package_id),
        environment=body.environment,
        options=asdict(body.options.chosen()),
        due_at=in_utc(body.schedule_at),
        priority=commands.LATER if later else commands.AT_ONCE,
    )
    job_id = UUID((await execute(call, commands.deploy_package, command, status)).resource)
    if later:
        return scheduled(await present_job(call, job_id), "Deployment job created")
    job = await until_ended(call, job_id)
    if job["status"] not in ENDED:
        return scheduled(job, "Deployment goes on in the background")
    if job["status"] != JobStatus.COMPLETED:
        await refuse(call, job)
    return await deployed(call, job)


def in_utc(moment: datetime | None) -> datetime | None:
    """The same moment, as it is kept; Invalid at the ends of time."""
    try:
        return moment.astimezone(UTC) if moment else None
    except OverflowError:
        raise Invalid("schedule_at: no calendar has this moment in UTC") from None


async def is_repeat(call: Call, status: int) -> bool:
    """Whether what this Idempotency-Key asks for was recorded before, so that it is not looked at again."""
    key = command_key(call, status)
    return bool(key and await call.app.store.outcome(call.caller.organisation, key))


async def fitting(call: Call, package_id: str, name: str) -> tuple[Row, Environment]:
    """The package and the environment, when the one may go to the other."""
    row = await find_package(await reading(call), package_id)
    if row["packed"] is None:
        raise Clash(f"The package holds nothing: it is {row['status']}")
    environment: Environment = await call.app.environments.find(call.caller.organisation, name)
    refuse_other_kind(row["packed"]["database_type"], environment)
    refuse_unsigned(call.app.settings, row)
    return row, environment


async def deployed(call: Call, job: Row) -> Answer:
    """What the job did."""
    if job["arguments"]["options"]["dry_run"]:
        return answer({"message": "Package validated successfully", "deployment": rehearsal_of(job)})
    present = await reading(call)
    row = await find_deployment(present, UUID(job["id"]))
    body = {"message": "Package deployed successfully", "deployment": result_of(row)}
    return answer(body, headers=present.headers())


@packages.post(
    f"{ONE}/diff",
    action="package.deploy",
    answer=models.Differences,
    appends=False,
    raises=(NotFound, Clash, Invalid, Unavailable),
)
async def show_differences(call: Call, package_id: str, body: models.DiffBody) -> Answer:
    """Say what a deployment would do to each table, with some rows of each kind; changes nothing."""
    row, environment = await fitting(call, package_id, body.environment)
    contents = call.app.packages.contents(await call.app.packages.manifest(row["packed"]["manifest"]))
    order = Order("", lineage_of(call.caller.organisation, row["name"]), body.options.chosen())
    found = await environment.target().differences(contents, order)
    tables: dict[str, Any] = {name: asdict(one) for name, one in found.items()}
    return answer({"package_id": f"{PREFIX}{row['id']}", "environment": environment.name, "tables": tables})
