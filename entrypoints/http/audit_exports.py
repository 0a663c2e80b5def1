"""Taking the record out, line by line, exactly as it is stored; who does is on record first."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from adapters.postgres.audit_log import AuditLog, Span
from adapters.postgres.conditions import Condition, beyond, equals
from application.audit import RequestAuditExport, request_audit_export
from domain.errors import Invalid, NotFound, Unavailable
from entrypoints.http import audit_models as models
from entrypoints.http.audit import as_uuid, audit, conditions, last_position, pseudonyms
from entrypoints.http.commands import execute
from entrypoints.http.epochs import refuse_other_epoch
from entrypoints.http.headers import EPOCH, LINK
from entrypoints.http.ids import parse_id
from entrypoints.http.paging import cursor_of, next_link
from entrypoints.http.reading import SHOWN, TAKEN, reading, resolve
from entrypoints.http.routing import Answer, Call, answer
from projections.read_model import Row
from projections.registry import AUDIT_EXPORTS

NDJSON = "application/x-ndjson"
TOGETHER = 1000
KIND = "events"
NOBODY = UUID(int=0)
SHOWN_OF_EXPORT = tuple(models.ExportObject.model_fields)


@audit.post(
    "/v1/audit/exports",
    action="audit.export",
    answer=models.ExportObject,
    status=201,
    takes=(EPOCH,),
    raises=(Invalid,),
)
async def request_export(call: Call, body: models.ExportBody) -> Answer:
    """Ask for an export; that you did is recorded. Its events are then read as often as it takes."""
    refuse_other_epoch(call, positioned=True)
    first, last = await resolve(call, body.since, "from"), await last_position(call, await reading(call), body.to)
    if first > last:
        raise Invalid("from is later than to")
    filters = await kept(call, body.filters)
    await conditions(call, body.filters)
    done = await execute(call, request_audit_export, RequestAuditExport(KIND, first, last, filters), 201)
    past = await reading(call)
    rows = await past.select(AUDIT_EXPORTS, [equals("key", done.resource)])
    return answer((await shown(call, rows))[0], 201)


async def kept(call: Call, asked: models.AuditFilters) -> dict[str, Any]:
    """The filters as they go on record: with a pseudonym for a login, which nobody could take back from there."""
    filters = asked.model_dump(exclude_none=True)
    if asked.actor:
        filters["actor"] = str(as_uuid((await pseudonyms(call, asked.actor))[-1]) or NOBODY)
    return filters


@audit.get(
    "/v1/audit/exports",
    action="audit.read",
    answer=list[models.ExportObject],
    takes=TAKEN,
    gives=(*SHOWN, LINK),
)
async def list_exports(call: Call, query: models.ListExports) -> Answer:
    """List who asked for which export, newest first."""
    as_of, wanted = query.as_of, list[Condition]()
    if query.cursor:
        position, after = cursor_of(call, query.cursor)
        as_of, wanted = str(position), [beyond("created_position", after, ascending=False)]
    past = await reading(call, as_of)
    rows = await past.select(AUDIT_EXPORTS, wanted, limit=query.limit)
    full = len(rows) == query.limit
    link = {"link": next_link(call, past.position, rows[-1]["created_position"])} if full else {}
    return answer(await shown(call, rows), headers=past.headers() | link)


@audit.get(
    "/v1/audit/exports/{export_id}/events",
    action="audit.export",
    answer=str,
    media_type=NDJSON,
    raises=(NotFound,),
)
async def read_export(call: Call, export_id: str, query: models.ReadExport) -> Answer:
    """Read an export's events, a line each, exact to the byte; the last line counts them.

    With `after` a reader goes on where it was cut off.
    """
    past = await reading(call)
    rows = await past.select(AUDIT_EXPORTS, [equals("key", str(parse_id(export_id, "", "Export")))])
    if not rows or rows[0]["kind"] != KIND:
        raise NotFound("Export not found")
    export, losses = rows[0], call.app.pools.losses
    log, after = AuditLog(call.app.pools), max(query.after, export["from_position"])
    span = await log.span(call.caller.organisation, after, export["to_position"])
    wanted = await conditions(call, models.AuditFilters(**export["filters"]))
    return Answer(media_type=NDJSON, chunks=lines(log, call.caller.organisation, span, wanted, losses))


async def lines(
    log: AuditLog, organisation: str, span: Span, wanted: Sequence[Condition], losses: int
) -> AsyncGenerator[bytes, None]:
    """So many lines at a time; no more of them is ever here at once.

    It breaks off when readers have lost more connections than `losses`: what `wanted` asks of read models may not be
    there any more.
    """
    count, rest = 0, span if span.first <= span.last else None
    while rest:
        found = await log.find(organisation, rest, wanted, TOGETHER)
        if log.pools.losses != losses:
            raise Unavailable("The event store was away meanwhile: go on behind the last line")
        count, rest = count + len(found.lines), found.rest
        if found.lines:
            yield b"".join(orjson.dumps(line) + b"\n" for line in found.lines)
    yield orjson.dumps({"events": count}) + b"\n"


async def shown(call: Call, rows: list[Row]) -> list[dict[str, Any]]:
    """Exports with logins in the place of pseudonyms."""
    people = {row["requested_by"] for row in rows} | {row["filters"].get("actor") for row in rows}
    names = await call.app.people.logins_of(call.caller.organisation, people)
    return [as_users_know_it(row, names) for row in rows]


def as_users_know_it(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    """One export."""
    filters = row["filters"]
    told = filters | ({"actor": names[filters["actor"]]} if "actor" in filters else {})
    shown = {member: row[member] for member in SHOWN_OF_EXPORT}
    return {**shown, "filters": told, "requested_by": names[row["requested_by"]]}
