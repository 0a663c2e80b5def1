"""Plans the whole month: what is there at first, what sets out when, freezes, and the trouble at its end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from application.caller import Origin
from application.freezes import DeclareFreeze, LiftFreeze, declare_freeze, lift_freeze
from application.incidents import (
    Link,
    ReportIncident,
    ResolveIncident,
    report_incident,
    resolve_incident,
)
from application.rules import SetRules, set_rules
from application.teams import SetTeams, set_teams
from domain.freezes import Scope
from domain.incident import Relation
from domain.lane import Lane
from domain.rules import ApprovalRule, HouseRules
from entrypoints.demo.cast import CHIEF, Cast, Component
from entrypoints.demo.incident import TERMINAL, Trouble, trouble
from entrypoints.demo.stage import Stage
from entrypoints.demo.story import Story

RELEASES_A_DAY = 0.22
FRIDAY, SATURDAY = 4, 5
HOURS = tuple(range(24))
BUSY = (1, 0, 0, 0, 0, 1, 2, 5, 9, 12, 13, 11, 7, 10, 13, 12, 10, 7, 4, 2, 2, 1, 1, 1)
QUIET = 0.07


@dataclass(frozen=True, slots=True)
class Month:
    """A month that was played: everything is in the ledger of the stage."""

    stage: Stage
    trouble: Trouble


async def month(stage: Stage, cast: Cast, chance: Random, begin: datetime, until: datetime) -> Month:
    """Plays it; the same from the same chance and moments."""
    story = Story(stage, cast, chance, begin, until)
    ahead = trouble(story)
    story.at(begin, set_up, story)
    for component in cast.components:
        for environment in cast.environments:
            story.at(begin + timedelta(minutes=chance.uniform(1, 600)), story.release, component, environment)
    for moment in moments(story, cast):
        story.at(moment, story.release, another(chance, cast))
    for number in range(24):
        minutes = chance.uniform(2, 58)
        place = cast.environments[-1 - number % 2]
        story.at(ahead.began - timedelta(minutes=minutes), story.release, another(chance, cast), place)
    plan_freezes(story)
    ahead.plan()
    await story.play()
    return Month(stage, ahead)


def another(chance: Random, cast: Cast) -> Component:
    """Any component but the first, which has its own story."""
    return chance.choice(cast.components[1:] or cast.components)


async def set_up(story: Story) -> None:
    """Teams and rules."""
    teams = {team: names for team, names in story.cast.teams.items() if names}
    await story.perform(CHIEF, set_teams, SetTeams(teams), TERMINAL)
    approval = ApprovalRule(Scope(environment=story.cast.environments[-1]))
    await story.perform(CHIEF, set_rules, SetRules(HouseRules(approval=(approval,))), TERMINAL)


def moments(story: Story, cast: Cast) -> list[datetime]:
    """When releases set out: in the hours of work, hardly ever at weekends."""
    days = (story.until - story.begin).days
    found = []
    for day in range(days):
        date = (story.begin + timedelta(days=day)).replace(hour=0, minute=0, second=0, microsecond=0)
        share = QUIET if date.weekday() >= SATURDAY else 1.35
        for _ in range(round(len(cast.components) * RELEASES_A_DAY * share)):
            hour = story.chance.choices(HOURS, BUSY)[0]
            found.append(date + timedelta(hours=hour, minutes=story.chance.uniform(0, 60)))
    return [moment for moment in found if moment > story.begin + timedelta(hours=10)]


def plan_freezes(story: Story) -> None:
    """Every weekend, and once a region in the middle of the week, which is let go early."""
    day = story.begin
    while day < story.until:
        evening = day.replace(hour=17, minute=0, second=0, microsecond=0)
        if day.weekday() == FRIDAY:
            scope = Scope(environment=story.cast.environments[-1])
            story.at(evening, freeze, story, scope, "Nobody is here at the weekend", evening + timedelta(hours=61))
        day += timedelta(days=1)
    half = story.begin + (story.until - story.begin) / 2
    story.at(half, freeze_and_lift, story)
    for share in (0.3, 0.65):
        story.at(story.begin + (story.until - story.begin) * share, small_trouble, story)


async def freeze(story: Story, scope: Scope, reason: str, until: datetime) -> str:
    """Declared by who answers for releases."""
    command = DeclareFreeze(scope, reason, until, str(story.stage.new_id()))
    return await story.perform(CHIEF, declare_freeze, command, TERMINAL)


async def freeze_and_lift(story: Story) -> None:
    """A region is at rest for some hours."""
    scope = Scope(region="us-east1", environment=story.cast.environments[-1])
    until = story.stage.now + timedelta(hours=12)
    freeze_id = await freeze(story, scope, "The provider repairs its network", until)
    story.at(story.stage.now + timedelta(hours=5), lift, story, freeze_id)


async def lift(story: Story, freeze_id: str) -> None:
    """It is over before its time."""
    command = LiftFreeze(freeze_id, "The provider is done")
    await story.perform(CHIEF, lift_freeze, command, TERMINAL)


async def small_trouble(story: Story) -> None:
    """Something was slow for an hour; what was live last in some lane caused it."""
    component = another(story.chance, story.cast)
    cause = await last_live(story, component)
    began = story.stage.now - timedelta(minutes=story.chance.uniform(10, 30))
    links = [Link(cause, Relation.CAUSED)] if cause else []
    title = f"{component.name} is slow"
    command = ReportIncident(title, began, f"INC-{story.chance.randint(1000, 2000)}", links, story.stage.new_id())
    login = story.chance.choice(story.cast.members[component.team])
    found = await story.perform(login, report_incident, command, Origin(interface="queue", client="rollbook-cli"))
    story.at(story.after(20, 90), resolve, story, found, login)


async def resolve(story: Story, incident_id: str, login: str) -> None:
    """It is over."""
    await story.perform(login, resolve_incident, ResolveIncident(UUID(incident_id)), TERMINAL)


async def last_live(story: Story, component: Component) -> UUID | None:
    """What customers have of it."""
    place = story.cast.places(component, story.cast.environments[-1])[0]
    lane = await story.stage.look(story.cast.organisation, Lane, place.lane_id(story.cast.organisation))
    current = lane.current(None) if lane else None
    return UUID(current.deployment_id) if current else None
