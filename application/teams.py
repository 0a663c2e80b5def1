"""Saying whose each component is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.execution import Work
from domain.teams import Teams


@dataclass(frozen=True, slots=True)
class SetTeams:
    """Replace all teams: the names of their components by team."""

    teams: Mapping[str, Sequence[str]]


async def set_teams(work: Work, command: SetTeams) -> str:
    """Answers the id of the organisation's teams; each component stands once in a team, in order."""
    teams = await work.load(Teams, Teams.id_of(work.organisation))
    if teams is None:
        teams = Teams.open(work.organisation, work.now)
        work.add(teams)
    teams.set({name: sorted(set(found)) for name, found in command.teams.items()}, work.now)
    return str(teams.id)
