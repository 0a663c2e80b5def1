"""Making packages, looking at what one would hold, changing what is said about one, deleting it."""

from typing import Any
from uuid import UUID

from adapters.packages.rows import Rows
from adapters.postgres.conditions import equals
from application import packages as commands
from application.ports.databases import Found
from application.ports.environments import Environment
from domain.dataset import DatabaseKind, Table
from domain.errors import Clash, Invalid, NotFound, Unavailable
from domain.job_status import ENDED, JobStatus
from domain.manifest import name_of
from entrypoints.http import package_models as models
from entrypoints.http import package_objects as objects
from entrypoints.http.commands import command_key, execute
from entrypoints.http.jobs import name_of as job_name
from entrypoints.http.jobs import status_of
from entrypoints.http.package_answers import PREFIX, find_package, parse_package_id, records_of
from entrypoints.http.package_reading import ONE, PATH
from entrypoints.http.packages import packages
from entrypoints.http.reading import SHOWN, reading
from entrypoints.http.routing import Answer, Call, answer
from entrypoints.http.waiting import present_job, refuse, until_ended
from projections.read_model import Row
from projections.registry import ENVIRONMENTS

PREVIEW_SECONDS = 300
KINDS = {
    models.PackageType.DATABASE: (DatabaseKind.POSTGRESQL, DatabaseKind.MYSQL),
    models.PackageType.DOCUMENT: (DatabaseKind.MONGODB,),
}


@packages.post(
    PATH,
    action="package.create",
    answer=objects.CreatedPackage,
    status=201,
    also={202: objects.PackingPackage},
    raises=(NotFound, Clash),
    gives=SHOWN,
)
async def create_package(call: Call, body: models.CreateBody) -> Answer:
    """Pack what was chosen; 202 where that takes longer than a request may."""
    dependencies = tuple(parse_package_id(one) for one in body.dependencies)
    environment, selection = await checked(call, body)
    command = commands.DefinePackage(
        name=body.name,
        version=body.version,
        package_type=body.package_type.value,
        environment=environment,
        selection=selection,
        description=body.description,
        metadata=body.metadata,
        dependencies=dependencies,
    )
    done = await execute(call, commands.define_package, command, 201)
    package_id = UUID(done.resource)
    job = await (present_job(call, package_id) if body.run_as_background else until_ended(call, package_id))
    if job["status"] in ENDED and job["status"] != JobStatus.COMPLETED:
        await refuse(call, job)
    return await created(call, package_id, job)


async def checked(call: Call, body: models.CreateBody) -> tuple[str, dict[str, Any]]:
    """The environment's name and the selection as it is recorded. What was recorded before is not checked again."""
    selection = body.model_dump(mode="json", include=set(models.SELECTION), exclude_unset=True)
    key = command_key(call, 201)
    if key and await call.app.store.outcome(call.caller.organisation, key):
        return body.environment or "", selection
    environment = await source_of(call, body.package_type, body.environment)
    await call.app.select(call.caller.organisation, environment.source(), selection)
    return environment.name, selection


async def source_of(call: Call, package_type: models.PackageType, name: str | None) -> Environment:
    """The environment to pack from: the one that is named, else the configured one, else the only one that fits."""
    organisation, kinds = call.caller.organisation, KINDS[package_type]
    name = name or call.app.settings.default_environment or await only_one(call, kinds)
    try:
        found: Environment = await call.app.environments.find(organisation, name)
    except NotFound as unknown:
        raise Invalid(unknown.message) from None
    if found.kind not in kinds:
        raise Invalid(f"Environment '{name}' is {found.kind}: no package of the type {package_type} comes from there")
    return found


async def only_one(call: Call, kinds: tuple[DatabaseKind, ...]) -> str:
    """The only environment of these kinds; Invalid when there is none, or a choice."""
    given = call.app.environments.of_file(call.caller.organisation)
    names = {name for name, one in given.items() if one.kind in kinds}
    rows = await (await reading(call)).select(ENVIRONMENTS, [equals("active", True)], order="name", limit=1000)
    names |= {row["name"] for row in rows if row["kind"] in kinds and row["name"] not in given}
    if len(names) != 1:
        raise Invalid("environment: name the environment to pack from")
    return str(names.pop())


async def created(call: Call, package_id: UUID, job: Row) -> Answer:
    """The new package, packed or on its way."""
    present = await reading(call)
    record = (await records_of(call, [await find_package(present, f"{PREFIX}{package_id}")]))[0]
    if job["status"] == JobStatus.COMPLETED:
        body = {"package": record, "message": "Package created successfully"}
        return answer(body, 201, present.headers())
    told = {"job_id": job_name(job), "status": status_of(job, call.app.executor.clock())}
    return answer({"package": record, "message": "Package is being packed", **told}, 202, present.headers())


@packages.post(
    f"{PATH}/preview",
    action="package.create",
    answer=objects.Preview,
    appends=False,
    patient=True,
    raises=(Unavailable,),
)
async def preview_package(call: Call, body: models.PreviewBody) -> Answer:
    """Say which rows of which tables a package would hold, why each is in, how many and how large."""
    environment = await source_of(call, body.package_type, body.environment)
    tables = await found_in(call, environment, body)
    totals = {"total_records": sum(t["rows"] for t in tables), "total_bytes": sum(t["bytes"] for t in tables)}
    return answer({"environment": environment.name, "databasetype": environment.kind, "tables": tables, **totals})


async def found_in(call: Call, environment: Environment, body: models.PreviewBody) -> list[dict[str, Any]]:
    """What the selection holds of each table."""
    kind, source = environment.kind, environment.source()
    asked = body.model_dump(mode="json", include=set(models.SELECTION), exclude_unset=True)
    selection, _ = await call.app.select(call.caller.organisation, source, asked)
    async with source.read(selection) as found:
        return [told(kind, table, await found.count(name_of(kind, table))) for table in found.tables]


def told(kind: DatabaseKind, table: Table, found: Found) -> dict[str, Any]:
    """What would be packed of one table."""
    counts = {"rows": found.rows, "bytes": found.bytes, "reasons": dict(found.reasons)}
    return {"name": name_of(kind, table), **counts, "sample": Rows(kind, table).loaded(list(found.sample))}


@packages.put(ONE, action="package.update", answer=objects.ChangedPackage, raises=(NotFound, Clash), gives=SHOWN)
async def update_package(call: Call, package_id: str, body: models.UpdateBody) -> Answer:
    """Change what is said about a package."""
    changes = changes_of(body)
    command = commands.DescribePackage(parse_package_id(package_id), changes)
    if changes:
        await execute(call, commands.describe_package, command)
    present = await reading(call)
    row = await find_package(present, package_id)
    told = {"message": "Package updated successfully", "package_id": f"{PREFIX}{row['id']}"}
    return answer(told, headers=present.headers())


def changes_of(body: models.UpdateBody) -> dict[str, Any]:
    """What was sent; null clears a description, tags or metadata, and leaves the status as it is."""
    sent = body.model_dump(exclude_unset=True)
    empty: dict[str, Any] = {"tags": [], "metadata": {}}
    changes = {name: empty.get(name) if value is None else value for name, value in sent.items()}
    return {name: value for name, value in changes.items() if name != "status" or value}


@packages.delete(ONE, action="package.delete", answer=objects.ChangedPackage, raises=(NotFound, Clash))
async def delete_package(call: Call, package_id: str) -> Answer:
    """Delete a package for good; one that is being packed is not packed any further."""
    found = parse_package_id(package_id)
    await execute(call, commands.delete_package, commands.OfPackage(found))
    return answer({"message": "Package deleted successfully", "package_id": f"{PREFIX}{found}"})
