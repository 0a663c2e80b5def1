"""What differs in the fleet between two moments, and who did what in between."""

from collections.abc import Sequence
from urllib.parse import urlencode

from adapters.postgres.fleets import Fleets, Wanted
from adapters.postgres.lane_history import LaneHistory, Span
from domain.errors import TooLarge
from entrypoints.http import fleet_models as models
from entrypoints.http.fleet import ERASED, SAME, TAKEN, fleet, logins, point, tagged, with_names
from entrypoints.http.headers import POSITION
from entrypoints.http.routing import Answer, Call
from projections.fleet import Facts, fleet_of
from projections.fleet_diff import difference
from projections.freeze_changes import freeze_changes
from projections.read_model import Row

# So many changes are told of one lane, and of all lanes together; how many there were, is always told.
MOST_OF_A_LANE = 20
MOST = 1000


@fleet.get(
    "/v1/fleet/diff",
    action="fleet.read",
    answer=models.FleetDifference,
    empty={304: "It is still what If-None-Match names"},
    takes=TAKEN,
    gives=(POSITION, SAME),
    raises=(TooLarge,),
)
async def show_difference(call: Call, query: models.AskDifference) -> Answer:
    """Show every lane that differs between two moments, and the changes and actors in between.

    `from` may be the later one: then the difference leads back, and applying it undoes what happened.
    """
    fleets = Fleets(call.app.views)
    first = (await point(call, fleets, query.since, "from"))[:2]
    second = (await point(call, fleets, query.to, "to"))[:2]
    wanted = Wanted(call.caller.organisation, query.of_lanes(), query.environment)
    earlier, later = await fleets.two(wanted, *sorted((first, second)))
    told = await compared(call, earlier, later, backwards=first > second)
    lanes = told["lanes"][: query.limit]
    told |= {"complete": len(lanes) == len(told["lanes"]), "lanes_total": len(told["lanes"])}
    told["lanes"] = await with_changes(call, lanes, earlier, later)
    rows = await fleets.changed_freezes(wanted, earlier.position, later.position)
    told["freezes"]["changes"] = await freezes_changed(call, rows, earlier, later)
    return tagged(call, told, {"x-rollbook-position": str(second[0])})


async def compared(call: Call, earlier: Facts, later: Facts, backwards: bool) -> Row:
    """How the two fleets differ; where no environment is asked for, lanes that stand as before are told of too if
    something happened there."""
    counts = {lane["id"]: lane["changes"] for lane in earlier.lanes}
    moved = {lane["id"] for lane in later.lanes if lane["changes"] != counts.get(lane["id"])}
    fleets = [await with_names(call, fleet_of(facts)) for facts in (earlier, later)]
    before, after = reversed(fleets) if backwards else fleets
    found = difference(before, after, moved if later.environment is None else ())
    return {**{member: found[member] for member in ("from", "to")}, "backwards": backwards} | found


async def with_changes(call: Call, lanes: Sequence[Row], earlier: Facts, later: Facts) -> list[Row]:
    """The lanes with the newest of their changes, and where to find all of them."""
    counts = [{lane["id"]: lane["changes"] for lane in facts.lanes} for facts in (earlier, later)]
    between = [(one["id"], *(count.get(one["id"], 0) for count in counts)) for one in lanes]
    room = max(1, min(MOST_OF_A_LANE, MOST // max(1, len(lanes))))
    spans = [Span(lane, max(first, last - room), last) for lane, first, last in between]
    found = await LaneHistory(call.app.views).changes(call.caller.organisation, spans, later.position)
    names = await logins(call, (change["actor"] for changes in found.values() for change in changes))
    told = []
    for lane, (_, first, last) in zip(lanes, between, strict=True):
        changes = [{**one, "actor": names.get(one["actor"], ERASED)} for one in found.get(lane["id"], ())]
        more = more_of(lane["id"], earlier, later) if last - first > len(changes) else None
        here = [one for one in changes if later.environment in (None, one["environment"] or later.environment)]
        told.append({**lane, "changes": here, "changes_total": last - first, "more": more})
    return told


def more_of(lane: str, earlier: Facts, later: Facts) -> str:
    """Where all events of a lane between the two positions are."""
    return "/v1/audit/events?" + urlencode({"lane": lane, "from": earlier.position, "to": later.position})


async def freezes_changed(call: Call, rows: Sequence[tuple[int, Row]], earlier: Facts, later: Facts) -> list[Row]:
    """What happened to freezes, with logins in the place of pseudonyms."""
    found = freeze_changes(rows, earlier.position, earlier.at, later.at)
    names = await logins(call, (one["actor"] for one in found))
    return [{**one, "actor": one["actor"] and names.get(one["actor"], ERASED)} for one in found]
