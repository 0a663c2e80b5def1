"""Deployments of packages as they are or were, and taking them back."""

from typing import Any
from uuid import UUID

from adapters.postgres.conditions import Condition, equals, one_of
from application import data_deployments as commands
from domain.errors import Clash, Invalid, NotFound, Unavailable
from domain.job_status import ENDED, JobStatus
from entrypoints.http import data_deployment_models as models
from entrypoints.http.commands import execute
from entrypoints.http.data_deployment_answers import PATH, WORDS, find_deployment, parse_deployment_id, records_of
from entrypoints.http.deployment_waiting import scheduled
from entrypoints.http.fields import AsOf
from entrypoints.http.headers import ALLOW_STALE
from entrypoints.http.package_answers import PREFIX as PACKAGE
from entrypoints.http.package_answers import parse_package_id
from entrypoints.http.packages import packages
from entrypoints.http.reading import COUNTED, PAGED, SHOWN, reading
from entrypoints.http.routing import Answer, Call, answer
from entrypoints.http.waiting import refuse, until_ended
from projections.registry import DATA_DEPLOYMENTS

ONE = f"{PATH}/{{deployment_id}}"


@packages.get(PATH, action="deployment.read", answer=models.DeploymentList, takes=PAGED, gives=COUNTED)
async def list_data_deployments(call: Call, query: models.ListDeployments) -> Answer:
    """List deployments of packages, newest first."""
    past = await reading(call, query.as_of)
    listed = await records_of(call, await past.page(DATA_DEPLOYMENTS, wanted(query), query.limit, query.offset))
    body = {"deployments": listed, "count": len(listed), "limit": query.limit, "offset": query.offset}
    return answer(body, headers=past.headers())


def wanted(query: models.ListDeployments) -> list[Condition]:
    """The filters."""
    found = []
    if query.environment is not None:
        found.append(equals("environment", query.environment))
    if query.is_active is not None:
        found.append(equals("is_active", query.is_active))
    if query.status is not None:
        found.append(one_of("status", [own for own, word in WORDS.items() if word is query.status]))
    if query.package is not None:
        found.append(of_package(query.package))
    return found


def of_package(package: str) -> Condition:
    """Of the package with this id, or of all with this name."""
    if not package.startswith(PACKAGE):
        return equals("package", package)
    try:
        return equals("package_id", str(parse_package_id(package)))
    except NotFound:
        return equals("package", package)


@packages.get(
    ONE,
    action="deployment.read",
    answer=models.DeploymentDetails,
    raises=(NotFound,),
    takes=(ALLOW_STALE,),
    gives=SHOWN,
)
async def show_data_deployment(call: Call, deployment_id: str, query: AsOf) -> Answer:
    """Show one deployment of a package."""
    past = await reading(call, query.as_of)
    row = await find_deployment(past, parse_deployment_id(deployment_id))
    return answer({"deployment": (await records_of(call, [row]))[0]}, headers=past.headers())


@packages.post(
    f"{ONE}/rollback",
    action="package.rollback",
    answer=models.RolledBack,
    also={202: models.ScheduledJob},
    raises=(NotFound, Clash, Invalid, Unavailable),
)
async def roll_back_data_deployment(call: Call, deployment_id: str, body: models.RollbackBody) -> Answer:
    """Take a deployment back; 409 where that would lose later writes, and `force` does not say that it may."""
    found = parse_deployment_id(deployment_id)
    done = await execute(
        call, commands.roll_back_deployment, commands.RollBackDeployment(found, body.reason, body.force)
    )
    job = await until_ended(call, UUID(done.resource))
    if job["status"] not in ENDED:
        return scheduled(job, "Rollback goes on in the background")
    if job["status"] != JobStatus.COMPLETED:
        await refuse(call, job)
    present = await reading(call)
    record = (await records_of(call, [await find_deployment(present, found)]))[0]
    told: dict[str, Any] = {"message": "Deployment rolled back successfully", "deployment": record}
    return answer({**told, "tables": job["result"]["tables"]}, headers=present.headers())
