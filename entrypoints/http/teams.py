"""Whose each component is, for figures by team."""

from adapters.postgres.conditions import equals
from application.teams import SetTeams, set_teams
from domain.teams import Teams
from entrypoints.http import incident_models as models
from entrypoints.http.commands import execute
from entrypoints.http.errors import problem_details
from entrypoints.http.reading import SHOWN, TAKEN, Reading, reading
from entrypoints.http.routing import Answer, Call, Interface, answer
from projections.registry import TEAMS

teams = Interface("teams", "/v1/teams", problem_details)


@teams.get("/v1/teams", action="teams.read", answer=models.TeamsBody, takes=TAKEN, gives=SHOWN)
async def show_teams(call: Call, query: models.ShowIncident) -> Answer:
    """Show which components each team looks after, now or then."""
    past = await reading(call, query.as_of)
    return answer({"teams": await teams_of(call, past)}, headers=past.headers())


@teams.put("/v1/teams", action="teams.set", answer=models.TeamsBody, gives=SHOWN)
async def replace_teams(call: Call, body: models.TeamsBody) -> Answer:
    """Replace all teams."""
    done = await execute(call, set_teams, SetTeams(body.teams))
    present = await reading(call, str(done.position) if done.repeated else None)
    return answer({"teams": await teams_of(call, present)}, headers=present.headers())


async def teams_of(call: Call, past: Reading) -> dict[str, list[str]]:
    """The teams as they were known where `past` reads."""
    key = str(Teams.id_of(call.caller.organisation))
    rows = await past.select(TEAMS, [equals("key", key)], order="key")
    found: dict[str, list[str]] = rows[0]["teams"] if rows else {}
    return found
