"""Packages that come from elsewhere: in a request, or as a file of any length."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from adapters.packages.importing import Imported
from adapters.packages.keeping import kept
from adapters.postgres.conditions import equals, one_of
from application import packages as commands
from domain.errors import Clash, Invalid
from domain.manifest import PackageInfo
from entrypoints.http import package_models as models
from entrypoints.http import package_objects as objects
from entrypoints.http.commands import execute
from entrypoints.http.package_answers import PREFIX, records_of
from entrypoints.http.package_reading import LIVE, PATH
from entrypoints.http.packages import packages
from entrypoints.http.reading import SHOWN, reading
from entrypoints.http.requests import refuse_unstorable
from entrypoints.http.routing import JSON, Answer, Call, answer
from projections.registry import PACKAGES

FILES = (JSON, "application/zip", "application/octet-stream")
TEXTS = ("name", "version", "description", "metadata", "dependencies", "id")


@packages.post(
    f"{PATH}/import",
    action="package.import",
    answer=objects.CreatedPackage,
    status=201,
    consumes=FILES,
    raises=(Clash,),
    gives=SHOWN,
)
async def import_package(call: Call, query: models.ImportQuery) -> Answer:
    """Take in a package: a request that holds its document, or its document, zip or bundle alone."""
    assert call.chunks is not None
    return await taken_in(call, await call.app.files.importer.import_stream(call.chunks), query.environment)


async def taken_in(call: Call, imported: Imported, environment: str | None) -> Answer:
    """Records what was taken in, under an id of its own."""
    package_id, given = uuid4(), imported.info
    refuse_unstorable({name: getattr(given, name) for name in TEXTS}, "package_data")
    about = replace(given, id=f"{PREFIX}{package_id}", created_by=call.caller.login)
    packed = await kept(imported.manifest, about, call.app.packages.store)
    # The body is gone; what an Idempotency-Key stands for is what it held.
    call.body = "\n".join((packed.manifest, given.id, given.name, given.version)).encode()
    command = commands.ImportPackage(
        name=given.name,
        version=given.version,
        package_type=given.package_type,
        packed=packed,
        environment=environment or environment_of(imported.around),
        description=given.description,
        metadata=dict(given.metadata),
        dependencies=await dependencies_of(call, given),
        original_id=given.id or None,
        signed_by=imported.signed_by,
        package_id=package_id,
    )
    done = await execute(call, commands.import_package, command, 201)
    present = await reading(call, str(done.position) if done.repeated else None)
    rows = await present.select(PACKAGES, [equals("key", done.resource)], order="key")
    body = {"message": "Package imported successfully", "package": (await records_of(call, rows))[0]}
    return answer(body, 201, present.headers())


def environment_of(around: dict[str, Any]) -> str | None:
    """What the request says beside the package."""
    found = around.get("environment")
    if found is not None and not (isinstance(found, str) and 0 < len(found) <= models.LONGEST_NAME):
        raise Invalid("environment: Input should be a valid string")
    refuse_unstorable(found, "environment")
    return found


async def dependencies_of(call: Call, about: PackageInfo) -> tuple[UUID, ...]:
    """The packages that this one depends on, by their ids here as far as they came before it."""
    return tuple([await known_here(call, one) for one in dict.fromkeys(about.dependencies)])


async def known_here(call: Call, original: str) -> UUID:
    """The newest package that was imported under this id, else the id itself; Invalid when it is none."""
    came = [equals("original_id", original), one_of("status", LIVE)]
    if rows := await (await reading(call)).select(PACKAGES, came, limit=1):
        return UUID(rows[0]["id"])
    try:
        return UUID(original.removeprefix(PREFIX))
    except ValueError:
        raise Invalid(f"The package depends on '{original[:100]}', which is not here: import that one first") from None
