"""What differs in the fleet between two moments, and who did what in between."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.postgres.fleets import Fleets, Wanted
from adapters.postgres.lane_history import LaneHistory, Span
from domain.errors import TooLarge
from entrypoints.http import fleet_models as models
from entrypoints.http.fleet import ERASED, SAME, TAKEN, fleet, logins, point, tagged, with_names
from entrypoints.http.headers import POSITION
from entrypoints.http.routing import Answer, Call
from projections.fleet import Facts, fleet_of
from projections.fleet_diff import difference, narrowed
from projections.freeze_changes import freeze_changes
from projections.read_model import Row

# So many changes are told of one lane, and of all lanes together; how many there were, is always told.
MOST_OF_A_LANE = 20
MOST = 400


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
    earlier, later = narrowed(*await fleets.two(wanted, *sorted((first, second))))
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
    """The lanes with the newest of their changes, how many there were, and where to find all of them."""
    between = spans_of(lanes, earlier, later)
    room = max(1, min(MOST_OF_A_LANE, MOST // max(1, len(lanes))))
    newest = [replace(one, beyond=max(one.beyond, one.last - room)) for one in between[:MOST]]
    found = await LaneHistory(call.app.views).changes(call.caller.organisation, newest, later.position)
    names = await logins(call, (change["actor"] for changes in found.values() for change in changes))
    totals = {one.lane_id: one.last - one.beyond for one in between}
    told = []
    for lane in lanes:
        changes = [{**one, "actor": names.get(one["actor"], ERASED)} for one in found.get(lane["id"], ())]
        total = totals.get(lane["id"], 0)
        more = more_of(lane["id"], earlier, later) if total > len(changes) else None
        here = [one for one in changes if later.environment in (None, one["environment"] or later.environment)]
        told.append({**lane, "changes": here, "changes_total": total, "more": more})
    return told


def spans_of(lanes: Sequence[Row], earlier: Facts, later: Facts) -> list[Span]:
    """The events of each lane in between, those lanes first that changed last."""
    asked, before = {lane["id"] for lane in lanes}, {lane["id"]: lane["changes"] for lane in earlier.lanes}
    moved = sorted((one for one in later.lanes if one["id"] in asked), key=lambda one: -int(one["since_position"]))
    return [Span(one["id"], before.get(one["id"], 0), one["changes"]) for one in moved]


def more_of(lane: str, earlier: Facts, later: Facts) -> str:
    """Where all events of a lane between the two positions are."""
    return f"/v1/audit/events?lane={lane}&from={earlier.position}&to={later.position}"


async def freezes_changed(call: Call, rows: Sequence[tuple[int, Row]], earlier: Facts, later: Facts) -> list[Row]:
    """What happened to freezes, with logins in the place of pseudonyms."""
    found = freeze_changes(rows, earlier.position, earlier.at, later.at)
    names = await logins(call, (one["actor"] for one in found))
    return [{**one, "actor": one["actor"] and names.get(one["actor"], ERASED)} for one in found]
