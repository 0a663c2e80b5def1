"""Incident bundles: a part of the record in one file; that somebody took it out is on record first."""

from collections.abc import AsyncGenerator
from tempfile import TemporaryFile
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from adapters.bundles.contents import Contents, Extent, models
from adapters.bundles.writing import write
from adapters.postgres.conditions import any_of, one_of
from application.audit import RequestAuditExport, request_audit_export
from domain.errors import Invalid, NotFound, RateLimited, Unavailable
from entrypoints.http.commands import execute
from entrypoints.http.epochs import refuse_other_epoch
from entrypoints.http.errors import problem_details
from entrypoints.http.fields import Past
from entrypoints.http.headers import EPOCH, Header
from entrypoints.http.reading import resolve
from entrypoints.http.routing import Answer, Call, Interface
from projections.registry import LANES

ZIP = "application/zip"
KIND = "bundle"
BLOCK = 256 * 1024
FILE = Header("Content-Disposition", "The name of the file", always=True)
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
bundles = Interface("bundles", "/v1/bundles", problem_details)


class BundleBody(BaseModel):
    """Which part of the record; without lanes (by id, or by component) it is all of it.

    With `redact` people have stand-ins for names: those that `names` gives by login, else person-1 and so on.
    """

    model_config = ConfigDict(extra="forbid")
    since: Past = Field(alias="from")
    to: Past | None = None
    lanes: Annotated[list[Text], Field(max_length=1000)] = []
    redact: bool = False
    names: Annotated[dict[Text, Text], Field(max_length=10_000)] = {}


@bundles.post(
    "/v1/bundles",
    action="audit.export",
    answer=str,
    media_type=ZIP,
    takes=(EPOCH,),
    gives=(FILE,),
    raises=(Invalid, NotFound),
)
async def make_bundle(call: Call, body: BundleBody) -> Answer:
    """Take out events, streams and read models of a span as one file, which `rollbook bundle open` serves."""
    refuse_other_epoch(call, positioned=True)
    if call.app.bundling.locked():
        raise RateLimited("Other bundles are being made", retry_after=10)
    organisation = call.caller.organisation
    first = await resolve(call, body.since, "from")
    last = await present(call) if body.to is None else await resolve(call, body.to, "to")
    if first > last:
        raise Invalid("from is later than to")
    extent = Extent(organisation, first, last, await lane_ids(call, body.lanes))
    losses = call.app.pools.losses
    for model in models(extent):
        await call.app.views.visible(organisation, model, last)
    asked = RequestAuditExport(KIND, first, last, {"lanes": list(extent.lanes), "redact": body.redact})
    await execute(call, request_audit_export, asked)
    headers = {"content-disposition": f'attachment; filename="rollbook-{first}-{last}.zip"'}
    return Answer(200, b"", headers, ZIP, written(call, extent, body.names if body.redact else None, losses))


async def present(call: Call) -> int:
    """The last position at which the organisation's commits end."""
    position: int = await call.app.views.visible(call.caller.organisation, LANES)
    return await resolve(call, str(position), "to")


async def lane_ids(call: Call, wanted: list[str]) -> list[str]:
    """The lanes that are meant; NotFound where one is not known."""
    if not wanted:
        return []
    condition = any_of(one_of("key", wanted), one_of("name", wanted))
    rows = (await call.app.views.select(call.caller.organisation, LANES, [condition])).rows
    if unknown := set(wanted) - {name for row in rows for name in (row["id"], row["name"])}:
        raise NotFound(f"There is no lane and no component '{min(unknown)}'")
    return sorted(row["id"] for row in rows)


async def written(call: Call, extent: Extent, names: dict[str, str] | None, losses: int) -> AsyncGenerator[bytes, None]:
    """The file, once it is whole; until then it is on the disk. Few are made at once, as each holds a connection.

    Unavailable when readers have lost more connections than `losses`, those before the read models were there.
    """
    with TemporaryFile() as file:
        async with call.app.bundling:
            await write(file, Contents(call.app.pools, extent), call.app.people, call.app.identity, names)
        if call.app.pools.losses != losses:
            raise Unavailable("The event store was away meanwhile; ask again")
        file.seek(0)
        while block := file.read(BLOCK):
            yield block
