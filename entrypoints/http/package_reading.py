"""Packages as they are or were: list them, look inside, read what was done with them."""

from typing import Any
from urllib.parse import quote

from adapters.packages.document import INLINE, NOTHING, page, shown
from adapters.postgres.conditions import Condition, equals, one_of
from domain.errors import Clash, Invalid, NotFound
from domain.manifest import Manifest
from domain.package_status import PackageStatus
from entrypoints.http import package_models as models
from entrypoints.http import package_objects as objects
from entrypoints.http.fields import AsOf
from entrypoints.http.headers import ALLOW_STALE, LINK
from entrypoints.http.package_answers import (
    PREFIX,
    actions_of,
    find_package,
    logins,
    may_read_rows,
    records_of,
    utc,
)
from entrypoints.http.packages import packages
from entrypoints.http.reading import COUNTED, PAGED, SHOWN, Reading, reading
from entrypoints.http.routing import Answer, Call, answer
from projections.packages import info_of
from projections.read_model import Row
from projections.registry import PACKAGE_ACTIONS, PACKAGES

PATH = "/api/packages"
ONE = f"{PATH}/{{package_id}}"
LIVE = [status.value for status in PackageStatus if status is not PackageStatus.DELETED]
RECENT = 10


@packages.get(PATH, action="package.read", answer=objects.PackageList, takes=PAGED, gives=COUNTED)
async def list_packages(call: Call, query: models.ListPackages) -> Answer:
    """List packages, newest first."""
    past = await reading(call, query.as_of)
    listed = await records_of(call, await past.page(PACKAGES, wanted(query), query.limit, query.offset))
    body = {"packages": listed, "count": len(listed), "limit": query.limit, "offset": query.offset}
    return answer(body, headers=past.headers())


def wanted(query: models.ListPackages) -> list[Condition]:
    """The filters; what was deleted agrees with none."""
    found = [one_of("status", [query.status] if query.status in LIVE else LIVE if query.status is None else [])]
    if query.package_type:
        found.append(equals("package_type", query.package_type.value))
    if query.environment is not None:
        found.append(equals("environment", query.environment))
    return found


@packages.get(
    ONE, action="package.read", answer=objects.PackageDetails, raises=(NotFound,), takes=(ALLOW_STALE,), gives=SHOWN
)
async def show_package(call: Call, package_id: str, query: AsOf) -> Answer:
    """Show a package with its data, as far as the caller may read them, and what was done with it last."""
    past = await reading(call, query.as_of)
    row = await find_package(past, package_id)
    acted = await past.select(PACKAGE_ACTIONS, [equals("package_id", row["id"])], limit=RECENT)
    body = {"package": await document_of(call, row), "recent_actions": await actions_of(past, acted)}
    return answer(body, headers=past.headers())


async def document_of(call: Call, row: Row) -> dict[str, Any]:
    """The package document; of one that holds nothing yet, what is said about it."""
    about = info_of(row, (await logins(call, [row]))[row["actor"]])
    beside = {"status": row["status"], "environment": row["environment"], "tags": row["tags"]}
    if row["packed"] is None:
        said = {name: getattr(about, name) for name in ("id", "name", "version", "description", "package_type")}
        made = {"created_at": utc(row["created_at"]), "created_by": about.created_by, "metadata": about.metadata}
        return {**said, **made, "dependencies": list(about.dependencies), **beside, "error": row["error"]}
    store, manifest = call.app.packages.store, await call.app.packages.manifest(row["packed"]["manifest"])
    document = await shown(manifest, about, store, link_to(row), INLINE if may_read_rows(call) else NOTHING)
    checked = {"checksum": row["packed"]["checksum"], "filesize": row["packed"]["size"]}
    return {**document, **beside, **checked, "signed_by": row["signed_by"]}


def link_to(row: Row) -> Any:
    """Where the rows of a table are."""
    return lambda table: f"{PATH}/{PREFIX}{row['id']}/data?table={quote(table, safe='')}"


@packages.get(
    f"{ONE}/data",
    action="package.data",
    answer=objects.DataPage,
    raises=(NotFound, Clash),
    takes=(ALLOW_STALE,),
    gives=(*SHOWN, LINK),
)
async def read_data(call: Call, package_id: str, query: models.ReadData) -> Answer:
    """Page through what a package holds of a table or a collection."""
    past = await reading(call, query.as_of)
    row = await find_package(past, package_id)
    if row["packed"] is None:
        raise Clash(f"The package holds nothing: it is {row['status']}")
    manifest = await call.app.packages.manifest(row["packed"]["manifest"])
    table = table_of(manifest, query)
    offset = offset_of(row, query)
    rows = await page(manifest, table, call.app.packages.store, offset, query.limit)
    total = manifest.packed(table).part.rows
    headers = past.headers()
    if rows and offset + len(rows) < total:
        headers["link"] = next_rows(past, row, table, offset + len(rows), query.limit)
    body = {"table": table, "rows": rows, "count": len(rows), "total": total}
    return answer({**body, "limit": query.limit, "offset": offset}, headers=headers)


def table_of(manifest: Manifest, query: models.ReadData) -> str:
    """The table that was asked for, or the only one; NotFound names one that is not in the package."""
    name = query.table or query.collection
    if name is None and len(manifest.tables) == 1:
        return manifest.tables[0].name
    if name is None:
        raise Invalid("table: name one of the package's tables")
    if name not in manifest.records:
        raise NotFound(f"'{name[:255]}' is not in the package")
    return name


def offset_of(row: Row, query: models.ReadData) -> int:
    """Where the page begins; a cursor is of what this package holds, and of nothing else."""
    if query.cursor is None:
        return query.offset
    of, _, offset = query.cursor.partition("-")
    if of != mark_of(row):
        raise Invalid("This cursor is not one of this package")
    return int(offset)


def next_rows(past: Reading, row: Row, table: str, offset: int, limit: int) -> str:
    """A link to the next page, as of the same position."""
    path = f"{PATH}/{PREFIX}{row['id']}/data"
    then = "" if past.as_of is None else f"&as_of={past.as_of}"
    return f'<{path}?table={quote(table, safe="")}&limit={limit}&cursor={mark_of(row)}-{offset}{then}>; rel="next"'


def mark_of(row: Row) -> str:
    """Tells what this package holds from what others do."""
    return str(row["packed"]["manifest"])[:16]


@packages.get(
    f"{ONE}/actions",
    action="package.read",
    answer=objects.ActionList,
    raises=(NotFound,),
    takes=PAGED,
    gives=COUNTED,
)
async def list_actions(call: Call, package_id: str, query: models.ListActions) -> Answer:
    """List what was done with a package, newest first, also what failed."""
    past = await reading(call, query.as_of)
    row = await find_package(past, package_id)
    of_package = [equals("package_id", row["id"])]
    actions = await actions_of(past, await past.page(PACKAGE_ACTIONS, of_package, query.limit, query.offset))
    return answer({"actions": actions, "count": len(actions)}, headers=past.headers())
