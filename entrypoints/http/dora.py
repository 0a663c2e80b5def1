"""The DORA figures of any period, component, environment and team, as they are known now or were known then."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from adapters.postgres.conditions import equals
from adapters.postgres.figures import Figures, Scope
from domain.errors import Invalid, NotFound
from entrypoints.http.dora_models import AskDora, DoraObject
from entrypoints.http.errors import problem_details
from entrypoints.http.reading import SHOWN, TAKEN, Reading, reading, resolve_moment
from entrypoints.http.routing import Answer, Call, Interface, answer
from entrypoints.http.teams import teams_of
from projections.figures import Deployments, Incidents, figures
from projections.periods import boundaries, check_period, zone_of
from projections.read_model import ReadModel
from projections.registry import DATA_DEPLOYMENTS, DEPLOYMENTS

metrics = Interface("metrics", "/v1/metrics", problem_details)
USUAL = timedelta(days=30)
A_DAY = timedelta(days=1)
NOW = "-0s"
PATH = "/v1/metrics/dora"
Places = tuple[tuple[ReadModel, str], ...]
PLACES: Mapping[str, Places] = {
    "component": ((DEPLOYMENTS, "name"), (DATA_DEPLOYMENTS, "package")),
    "environment": ((DEPLOYMENTS, "environment"), (DATA_DEPLOYMENTS, "environment")),
}


@metrics.get(PATH, action="metrics.read", answer=DoraObject, takes=TAKEN, gives=SHOWN, raises=(Invalid, NotFound))
async def show_dora(call: Call, query: AskDora) -> Answer:
    """Deployment frequency, lead time, change failures, time to restore and rework, in all and part by part."""
    bounds = await bounds_of(call, query)
    counts = Figures(call.app.views)
    past = await reading(call, query.as_of)
    organisation = call.caller.organisation
    past.position, past.late = await counts.position(organisation, past.as_of, past.patient)
    await refuse_unknown(query, Reading(call, past.position, patient=True))
    scope = Scope(query.component, await components_of(call, past, query.team), query.environment)
    found = await counts.deployments(organisation, scope, bounds, past.position)
    broken = await counts.incidents(organisation, scope, bounds, past.position)
    asked = {"component": query.component, "environment": query.environment, "team": query.team}
    divided = {"interval": query.interval, "time_zone": query.time_zone}
    told = asked | period(bounds[0], bounds[-1]) | divided | figures_of(bounds, found, broken)
    return answer(told, headers=past.headers())


async def bounds_of(call: Call, query: AskDora) -> list[datetime]:
    """Where the parts of the period that is asked about begin, and its end."""
    if query.to is not None:
        end = await resolve_moment(call, query.to, "to")
    else:
        # The end is no part of the period, and what was recorded last is.
        end = await resolve_moment(call, query.as_of or NOW, "as_of") + timedelta(microseconds=1)
    begin = before(end) if query.begin is None else await resolve_moment(call, query.begin, "from")
    check_period(begin, end)
    return boundaries(begin, end, query.interval, zone_of(query.time_zone))


def before(end: datetime) -> datetime:
    """Where the usual period begins; refused where there is no such moment."""
    try:
        return end - USUAL
    except OverflowError:
        raise Invalid("as_of is before the first event: there is no period before it") from None


async def refuse_unknown(query: AskDora, past: Reading) -> None:
    """Refuses a name that no deployment bears: its figures would be those of a slip of the pen."""
    for called, places in PLACES.items():
        name = getattr(query, called)
        if name is not None and not await deployed(past, places, name):
            raise NotFound(f"No deployment of this {called} is on record")


async def deployed(past: Reading, places: Places, name: str) -> bool:
    """Whether a deployment bears this name at one of these places, even one that never went live."""
    for model, column in places:
        if await past.select(model, [equals(column, name)], order="created_position", limit=1):
            return True
    return False


async def components_of(call: Call, past: Reading, team: str | None) -> list[str] | None:
    """The team's components, as known at the position that is shown; None where no team is asked for."""
    if team is None:
        return None
    teams = await teams_of(call, Reading(call, past.position, patient=True))
    if team not in teams:
        raise NotFound("There is no such team")
    return teams[team]


def figures_of(
    bounds: list[datetime], found: Mapping[int | None, Deployments], broken: Mapping[int | None, Incidents]
) -> dict[str, Any]:
    """The figures of the whole, and of each part."""
    parts = enumerate(pairwise(bounds), 1)
    series = [period(*part) | of_part(n, part, found, broken) for n, part in parts]
    return {"totals": of_part(None, (bounds[0], bounds[-1]), found, broken), "series": series}


def of_part(
    number: int | None,
    part: tuple[datetime, datetime],
    found: Mapping[int | None, Deployments],
    broken: Mapping[int | None, Incidents],
) -> dict[str, Any]:
    """The figures of one part; what was not counted is nothing."""
    days = (part[1] - part[0]) / A_DAY
    return figures(found.get(number, Deployments()), broken.get(number, Incidents()), days)


def period(begin: datetime, end: datetime) -> dict[str, Any]:
    """From when to when."""
    return {"from": begin, "to": end}
