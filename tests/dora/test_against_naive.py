"""The figures against counting by hand: random histories, asked as of every kind of position, scope and division."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.postgres.figures import Figures, Scope
from application import incidents, teams
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from application.execution import Work
from application.rollbacks import RollBackDeployment, roll_back_deployment
from domain.deployment import Deployment
from domain.errors import RollbookError
from domain.incident import Relation
from domain.release import Release
from domain.status import Status
from domain.taxonomy import Taxonomy
from entrypoints.http.dora import figures_of
from projections.periods import Interval, boundaries
from tests.dora import naive
from tests.kernel.chain import stored
from tests.kernel.conftest import Kernel
from tests.kernel.history import EXAMPLES, fresh_kernel
from tests.kernel.test_read_models import project

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = st.integers(0, 24 * 40)
WHAT = ["schedule"] * 5 + ["deploy"] * 5 + ["correct"] * 4 + ["fail", "back", "wait", "roll back", "roll back", "teams"]
TROUBLE = ["report", "report", "link", "link", "link", "unlink", "resolve", "resolve", "reopen"]
STEP = st.tuples(st.sampled_from([*WHAT, *TROUBLE]), st.integers(0, 30), st.integers(0, 7), HOURS)
STEPS = st.lists(STEP, min_size=25, max_size=60)
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia")
STATUS = {"deploy": Status.DEPLOYED, "fail": Status.FAILED, "back": Status.ROLLED_BACK, "wait": Status.SCHEDULED}
Step = tuple[str, int, int, int]


async def correct(work: Work, asked: tuple[UUID, datetime]) -> str:
    """It really went live at another time."""
    deployment = await work.load(Deployment, asked[0])
    assert deployment is not None
    deployment.correct(asked[1], "The clock was wrong", work.now)
    return str(deployment.id)


class Living:
    """Somebody deploys, and things break."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.deployments: list[UUID] = []
        self.incidents: list[UUID] = []

    async def step(self, step: Step) -> None:
        """One thing; what is refused is part of a history too."""
        what, target, choice, hours = step
        at = NEW_YEAR + timedelta(hours=hours)
        try:
            if what in ("schedule", "teams", "report"):
                await self.make(what, choice, at)
            elif what in ("link", "unlink", "resolve", "reopen") and self.incidents and self.deployments:
                await self.turn(what, target, choice, at)
            elif what not in TROUBLE and self.deployments:
                await self.move(what, self.deployments[-1 - target % len(self.deployments)], at)
        except RollbookError:
            return

    async def make(self, what: str, choice: int, at: datetime) -> None:
        """Something new."""
        if what == "schedule":
            committed = (at - timedelta(hours=choice)).isoformat() if choice % 3 else None
            incident = "INC-1" if choice == 5 else None
            environment = ("production", "staging")[choice % 4 == 0]
            release = Release("1", environment, "k8s", committed_at=committed, incident_id=incident)
            where = Taxonomy(f"shop-{choice % 3}", "gcp")
            made = await self.kernel.run(schedule_deployment, ScheduleDeployment(where, release, False, "repo", "flow"))
            self.deployments.append(UUID(made.resource))
        elif what == "teams":
            named = {"web": [f"shop-{n}" for n in range(choice % 4)], "none": []}
            await self.kernel.run(teams.set_teams, teams.SetTeams(named))
        else:
            made = await self.kernel.run(incidents.report_incident, incidents.ReportIncident("Down", at))
            self.incidents.append(UUID(made.resource))

    async def turn(self, what: str, target: int, choice: int, at: datetime) -> None:
        """Something becomes known of an incident."""
        one = self.incidents[-1 - target % len(self.incidents)]
        deployment = self.deployments[-1 - choice % len(self.deployments)]
        link = incidents.Link(deployment, (Relation.CAUSED, Relation.FIXED)[target % 2])
        asked: dict[str, tuple[Any, Any]] = {
            "link": (incidents.link_deployment, incidents.LinkDeployment(one, link)),
            "unlink": (incidents.unlink_deployment, incidents.UnlinkDeployment(one, link)),
            "resolve": (incidents.resolve_incident, incidents.ResolveIncident(one, at + timedelta(hours=choice))),
            "reopen": (incidents.reopen_incident, incidents.ReopenIncident(one)),
        }
        await self.kernel.run(*asked[what])

    async def move(self, what: str, one: UUID, at: datetime) -> None:
        """Something becomes of a deployment."""
        if what == "correct":
            await self.kernel.run(correct, (one, at))
        elif what == "roll back":
            made = await self.kernel.run(roll_back_deployment, RollBackDeployment(str(one), "repo", "flow"))
            self.deployments.append(UUID(made.resource))
        else:
            await self.kernel.run(update_deployment, UpdateDeployment(str(one), STATUS[what]))


def scopes(known: naive.World) -> list[tuple[Scope, Callable[[naive.Deployment], bool] | None]]:
    """Each way to choose deployments, as we say it and as the naive count does."""
    web = known.teams.get("web", [])
    return [
        (Scope(), None),
        (Scope("shop-1"), lambda d: d.name == "shop-1"),
        (Scope(environment="staging"), lambda d: d.environment == "staging"),
        (Scope(components=web), lambda d: d.name in web),
        (Scope("shop-2", web, "production"), lambda d: d.name == "shop-2" in web and d.environment == "production"),
    ]


def nearly(counted: Any) -> Any:
    """The same up to what floating point cannot hold."""
    if isinstance(counted, dict):
        return {name: nearly(value) for name, value in counted.items()}
    if isinstance(counted, list):
        return [nearly(one) for one in counted]
    return pytest.approx(counted, rel=1e-9, abs=1e-6) if isinstance(counted, float) else counted


async def compare(postgres: Any, template: str, steps: list[Step], chance: random.Random) -> None:
    """One history, on a database of its own, asked of a few positions."""
    async with fresh_kernel(postgres, template) as (kernel, url):
        living = Living(kernel)
        for step in [("schedule", 0, 1, 0), ("deploy", 0, 0, 0), *steps]:
            await living.step(step)
        figures = Figures((await project(kernel, url, chance.choice([1, 5, 1000]))).views)
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        log = stored(psycopg.conninfo.make_conninfo(postgres.admin_url, dbname=name))
        ends = sorted({event["commit_position"] for event in log})
        for position in {ends[-1], *chance.sample(ends, min(3, len(ends)))}:
            known = naive.world(log, "acme", position)
            for scope, meant in scopes(known):
                bounds = some_bounds(chance)
                found = await figures.deployments("acme", scope, bounds, position)
                broken = await figures.incidents("acme", scope, bounds, position)
                assert plain(figures_of(bounds, found, broken)) == nearly(naive.answers(known, meant, bounds))


@settings(max_examples=3, **EXAMPLES)
@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_the_figures_are_what_counting_by_hand_gives(
    postgres: Any, template: str, steps: list[Step], chance: random.Random
) -> None:
    asyncio.run(compare(postgres, template, steps, chance))


@pytest.mark.faults
@settings(max_examples=40, **EXAMPLES)
@given(steps=STEPS, chance=st.randoms(use_true_random=False))
def test_so_they_are_for_many_histories(postgres: Any, template: str, steps: list[Step], chance: random.Random) -> None:
    asyncio.run(compare(postgres, template, steps, chance))


def some_bounds(chance: random.Random) -> list[datetime]:
    """A period, divided somehow; what was not corrected went live just now."""
    begin = NEW_YEAR + timedelta(hours=chance.randint(-50, 24 * 30))
    end = chance.choice([datetime.now(UTC), begin + timedelta(hours=chance.randint(1, 24 * 40))])
    interval = Interval.MONTH if end - begin > timedelta(days=100) else chance.choice(list(Interval))
    return boundaries(begin, end, interval, ZoneInfo(chance.choice(ZONES)))


def plain(told: Any) -> Any:
    """An answer without its bands and bounds."""
    if isinstance(told, dict):
        return {k: plain(v) for k, v in told.items() if k not in ("band", "from", "to")}
    return [plain(one) for one in told] if isinstance(told, list) else told
