"""The fleet: what is live, waiting, held and frozen everywhere, now or then."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson

from adapters.postgres import valid_time
from adapters.postgres.fleets import Fleets, Wanted
from adapters.postgres.references import BEGINNING
from domain.errors import Invalid
from entrypoints.http import fleet_models as models
from entrypoints.http.epochs import refuse_other_epoch
from entrypoints.http.errors import problem_details
from entrypoints.http.headers import ALLOW_STALE, AS_OF, EPOCH, LINK, POSITION, Header
from entrypoints.http.paging import cursor_of, next_link
from entrypoints.http.reading import resolve_moment, resolve_reference
from entrypoints.http.routing import JSON, Answer, Call, Interface
from projections.fleet import Facts, fleet_of, with_live
from projections.read_model import Row, moment
from projections.registry import LIVE, LIVE_INTERVALS

ERASED = "erased"
MICROSECOND = timedelta(microseconds=1)
fleet = Interface("fleet", "/v1/fleet", problem_details)
IF_NONE_MATCH = Header("If-None-Match", "The ETag of an answer that is here already; 304 while it is still the answer")
SAME = Header("ETag", "Names this answer, whatever moment it was asked at", always=True)
TAKEN = (ALLOW_STALE, EPOCH, IF_NONE_MATCH)
SHOWN = (POSITION, AS_OF, SAME)


@fleet.get(
    "/v1/fleet",
    action="fleet.read",
    answer=models.FleetObject,
    empty={304: "It is still what If-None-Match names"},
    takes=TAKEN,
    gives=(*SHOWN, LINK),
)
async def show_fleet(call: Call, query: models.AskFleet) -> Answer:
    """Show every lane in every environment: what is live, runs, waits, is held and frozen, now or then.

    With `valid_at` what is told as live is what really was then, by what is known now or was known `as_of` a moment.
    """
    then = None if query.valid_at is None else await resolve_moment(call, query.valid_at)
    numbers = cursor_of(call, query.cursor, more=1) if query.cursor else ()
    fleets, organisation = Fleets(call.app.views), call.caller.organisation
    position, at, past = await point(call, fleets, str(numbers[0]) if numbers else query.as_of)
    at, below = (moment_of(numbers[2]), numbers[1]) if numbers else (at, None)
    wanted = Wanted(organisation, query.of_lanes(), query.environment, below, query.limit)
    facts = await fleets.facts(wanted, position, at)
    if then is not None:
        facts = replace(facts, lanes=with_live(facts.lanes, await live_then(call, facts, then)))
    headers = {"x-rollbook-position": str(position)} | ({"x-rollbook-as-of": str(position)} if past else {})
    if len(facts.lanes) == query.limit:
        instead = {"valid_at": moment(then)} if then else {}
        last = min(lane["created_position"] for lane in facts.lanes)
        headers["link"] = next_link(call, position, last, (at - BEGINNING) // MICROSECOND, instead=instead)
    return tagged(call, await with_names(call, fleet_of(facts)), headers)


def moment_of(microseconds: int) -> datetime:
    """The moment of the first page, at which freezes are over or not on all of them."""
    try:
        return BEGINNING + microseconds * MICROSECOND
    except OverflowError:
        raise Invalid("This cursor is not one of ours") from None


async def live_then(call: Call, facts: Facts, then: datetime) -> list[Row]:
    """What was live in these lanes at a moment, by what was known at their position."""
    views, organisation = call.app.views, call.caller.organisation
    for model in (LIVE, LIVE_INTERVALS):
        await views.visible(organisation, model, facts.position)
    return await valid_time.live_then(views, organisation, then, facts.position, [lane["id"] for lane in facts.lanes])


async def point(call: Call, fleets: Fleets, text: str | None, called: str = "as_of") -> tuple[int, datetime, bool]:
    """A position, its moment, and whether it is a past one. A moment that was asked for is itself, any other position
    has the one at which it was recorded."""
    refuse_other_epoch(call, positioned=text is not None)
    organisation = call.caller.organisation
    if text is None and call.headers.get("x-rollbook-allow-stale") == "1":
        position, late = await fleets.shown(organisation)
        return position, call.app.executor.clock(), late
    if text is None:
        return await fleets.present(organisation), call.app.executor.clock(), False
    found = await resolve_reference(call, text, called)
    at = found.moment or await call.app.references.moment_at(found.position)
    return found.position, (at or BEGINNING).astimezone(UTC), True


async def with_names(call: Call, one: Row) -> Row:
    """Logins in the place of pseudonyms."""
    known = await logins(call, (freeze["by"] for freeze in one["freezes"]))
    return {**one, "freezes": [{**freeze, "by": known.get(freeze["by"], ERASED)} for freeze in one["freezes"]]}


async def logins(call: Call, pseudonyms: Iterable[str | None]) -> dict[str, str]:
    """The logins behind pseudonyms."""
    found: dict[str, str] = await call.app.people.logins_of(call.caller.organisation, pseudonyms)
    return found


def tagged(call: Call, one: Row, headers: dict[str, str]) -> Answer:
    """The answer with its ETag, which leaves the moment out; 304 to who has it already."""
    body = orjson.dumps(one)
    content = body if headers.get("x-rollbook-as-of") else orjson.dumps({**one, "at": None})
    headers["etag"] = f'"{sha256(content).hexdigest()[:32]}"'
    if headers["etag"] in call.headers.get("if-none-match", ""):
        return Answer(304, b"", headers, JSON)
    return Answer(200, body, headers)
