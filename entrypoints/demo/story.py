"""What happens in the month: releases go from environment to environment, some fail, some are taken back."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any
from uuid import UUID

from application.caller import Caller, Origin, Role
from application.claims import (
    ApproveDeployment,
    ClaimDeployment,
    ReleaseHold,
    approve_deployment,
    claim_deployment,
    release_hold,
)
from application.corrections import CorrectDeployment, correct_deployment
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from application.execution import Handler
from application.rollbacks import RollBackLane, roll_back_lane
from domain.deployment import Deployment
from domain.errors import Frozen, NotFound
from domain.release import Release
from domain.status import Status
from domain.taxonomy import Taxonomy
from entrypoints.demo.cast import BOT, Cast, Component, others
from entrypoints.demo.stage import Stage

CHANGES = (
    *("Round prices once", "Retry when the target is slow", "Show the new logo", "Drop an unused table"),
    *("Raise a limit", "Log less", "Cache what is asked often", "Translate a page", "Update a library"),
)
FAULTS = ("It did not become ready in time", "The migration was refused", "The image is not there", "Tests failed")
OVERRIDES = ("Customers cannot pay without it", "It mends a leak", "Agreed with the one who froze it")
NOTICED = ("More errors than before", "Slower by half", "A customer called", "The queue grows")
FAILS, GOES_BACK, IS_CORRECTED, OVERRIDES_IT = 0.05, 0.03, 0.01, 0.12


Act = tuple[datetime, int, Callable[[], Awaitable[Any]]]


@dataclass(frozen=True, slots=True)
class Run:
    """One deployment on its way. `onward` is whether the next environment follows."""

    component: Component
    taxonomy: Taxonomy
    release: Release
    author: str
    number: int
    onward: bool = True
    id: str = ""

    @property
    def environment(self) -> str:
        """Where it goes."""
        return self.release.environment


@dataclass
class Story:
    """Acts wait for their moments; what is due after `until` never happens."""

    stage: Stage
    cast: Cast
    chance: Random
    begin: datetime
    until: datetime
    acts: list[Act] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    told: int = 0
    runs: int = 7_000_000_000

    def at(self, moment: datetime, act: Callable[..., Awaitable[Any]], *facts: Any) -> None:
        """Lets something happen at a moment."""
        self.told += 1
        found: Act = (moment, self.told, partial(act, *facts))
        heappush(self.acts, found)

    async def play(self) -> None:
        """All of it, in order."""
        while self.acts and self.acts[0][0] <= self.until:
            moment, _, act = heappop(self.acts)
            self.stage.now = max(moment, self.stage.now)
            await act()

    def after(self, least: float, most: float) -> datetime:
        """Some minutes from now."""
        return self.stage.now + timedelta(minutes=self.chance.uniform(least, most))

    async def perform(self, login: str, handler: Handler, command: Any, origin: Origin) -> str:
        """Now."""
        return await self.stage.perform(self.stage.now, login, handler, command, origin)

    def origin(self, run: Run) -> Origin:
        """The run of the pipeline that asks."""
        return self.cast.origin(run.component, run.number, run.release.commit_sha or "")

    async def release(self, component: Component, environment: str | None = None) -> None:
        """A new version sets out, from the first environment on; or for one environment only."""
        self.versions[component.name] = number = self.versions.get(component.name, 0) + 1
        committed = self.stage.now - timedelta(minutes=self.chance.uniform(5, 2000))
        made = Release(
            version=f"1.{number // 10}.{number % 10}",
            environment=environment or self.cast.environments[0],
            type="k8s",
            commit_sha=f"{self.chance.getrandbits(160):040x}",
            description=self.chance.choice(CHANGES),
            build_uri=f"https://ci.example/{component.name}/{number}",
            committed_at=committed.isoformat(timespec="microseconds"),
            change_url=f"https://github.com/{self.cast.repository(component)}/pull/{number * 3}",
        )
        author = self.chance.choice(self.cast.members[component.team])
        await self.go_to(component, made, author, environment is None)

    async def go_to(self, component: Component, release: Release, author: str, onward: bool = True) -> None:
        """It is queued in every region of its environment, one after the other."""
        for number, taxonomy in enumerate(self.cast.places(component, release.environment)):
            self.runs += 1
            run = Run(component, taxonomy, release, author, self.runs, onward)
            self.at(self.after(number * 15, number * 15 + 5), self.schedule, run)

    async def schedule(self, run: Run) -> None:
        """Enters its lane; where that takes an approval, somebody else is asked for it."""
        careful = run.component.careful and run.environment == self.cast.environments[-1]
        command = ScheduleDeployment(
            taxonomy=run.taxonomy,
            release=run.release,
            auto=not careful,
            created_by_repo=self.cast.repository(run.component),
            created_by_workflow="deploy",
            deployment_id=self.stage.new_id(),
        )
        run = replace(run, id=await self.perform(run.author, schedule_deployment, command, self.origin(run)))
        if not careful:
            self.at(self.after(1, 8), self.start, run)
        elif self.chance.random() < 0.93:
            self.at(self.after(4, 90), self.approve, run)

    async def approve(self, run: Run, reason: str | None = None) -> None:
        """A colleague says yes, unless it was overtaken."""
        if not await self.waits(run):
            return
        login = self.chance.choice(others(self.cast.members[run.component.team], run.author))
        repository = self.cast.repository(run.component)
        caller = Caller(self.cast.organisation, login, Role.APPROVER, "pat", repository, "cli")
        command = ApproveDeployment(run.id, caller, reason)
        await self.perform(login, approve_deployment, command, Origin(interface="queue", client="rollbook-cli"))
        self.at(self.after(1, 10), self.start, run)

    async def waits(self, run: Run) -> bool:
        """Whether it is still in its queue."""
        found = await self.stage.look(self.cast.organisation, Deployment, UUID(run.id))
        return found is not None and found.status is Status.SCHEDULED

    async def start(self, run: Run, override: str | None = None) -> None:
        """Runners claim in the last two environments; elsewhere the pipeline itself says that it began."""
        if not await self.waits(run):
            return
        try:
            await (self.claim if run.environment in self.cast.environments[-2:] else self.begin_run)(run, override)
        except Frozen as refusal:
            if self.chance.random() < OVERRIDES_IT:
                self.at(self.after(5, 60), self.start, run, self.chance.choice(OVERRIDES))
            elif until := refusal.details.get("until"):
                self.at(datetime.fromisoformat(until) + timedelta(minutes=self.chance.uniform(1, 240)), self.start, run)

    async def claim(self, run: Run, override: str | None) -> None:
        """The runner of the region takes what is next in the lane."""
        runner = f"runner-{run.taxonomy.region}"
        command = ClaimDeployment((run.taxonomy,), runner, 3600, override)
        taken = await self.perform(BOT, claim_deployment, command, Origin(interface="queue", client="runner"))
        if taken:
            self.at(self.after(3, 25), self.finish, replace(run, id=taken))
        elif self.chance.random() < 0.5:
            self.at(self.after(20, 60), self.start, run)

    async def begin_run(self, run: Run, override: str | None) -> None:
        """Its pipeline reports."""
        command = UpdateDeployment(run.id, Status.IN_PROGRESS, override=override)
        await self.perform(run.author, update_deployment, command, self.origin(run))
        self.at(self.after(2, 18), self.finish, run)

    async def finish(self, run: Run) -> None:
        """Live, or not."""
        failed = self.chance.random() < FAILS
        changes: dict[str, str | None] = {"notes": self.chance.choice(FAULTS)} if failed else {}
        command = UpdateDeployment(run.id, Status.FAILED if failed else Status.DEPLOYED, changes)
        await self.perform(run.author, update_deployment, command, self.origin(run))
        if failed:
            if self.chance.random() < 0.6:
                self.at(self.after(30, 300), self.release, run.component)
            return
        self.go_on(run)

    def go_on(self, run: Run) -> None:
        """What follows of a deployment that is live."""
        if self.chance.random() < IS_CORRECTED:
            self.at(self.after(30, 600), self.correct, run, self.stage.now)
        last = run.environment == self.cast.environments[-1]
        if last and self.chance.random() < GOES_BACK:
            self.at(self.after(8, 70), self.take_back, run)
        first = run.taxonomy.region == run.component.regions[0]
        if run.onward and not last and first and self.chance.random() < 0.94:
            following = self.cast.environments[self.cast.environments.index(run.environment) + 1]
            onward = replace(run.release, environment=following)
            self.at(self.after(20, 400), self.go_to, run.component, onward, run.author)

    async def correct(self, run: Run, reported: datetime) -> None:
        """It went live before it was reported."""
        went = reported - timedelta(minutes=self.chance.uniform(2, 20))
        command = CorrectDeployment(run.id, went, "The log of the target says so")
        origin = Origin(interface="queue", client="rollbook-cli")
        await self.perform(run.author, correct_deployment, command, origin)

    async def take_back(self, run: Run) -> None:
        """Somebody of the team goes back to what was live before, and lets go of the lane later."""
        login = self.chance.choice(self.cast.members[run.component.team])
        command = RollBackLane(
            run.taxonomy,
            self.cast.repository(run.component),
            "rollback",
            environment=run.environment,
            deployment_id=self.stage.new_id(),
        )
        with suppress(NotFound):
            back = await self.perform(login, roll_back_lane, command, self.origin(run))
            self.at(self.after(1, 4), self.start, replace(run, id=back, author=login))
            self.at(self.after(60, 900), self.let_go, run, login)

    async def let_go(self, run: Run, login: str) -> None:
        """The reason is mended; automatic deployments go on."""
        command = ReleaseHold(run.taxonomy, f"{self.chance.choice(NOTICED)}: mended")
        with suppress(NotFound):
            await self.perform(login, release_hold, command, Origin(interface="queue", client="rollbook-cli"))
