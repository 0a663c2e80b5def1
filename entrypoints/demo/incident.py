"""The last day: a careful change goes live against a freeze, customers notice, and it is taken back."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from application.caller import Caller, Origin, Role
from application.claims import ApproveDeployment, approve_deployment
from application.corrections import CorrectDeployment, correct_deployment
from application.deployments import ScheduleDeployment, UpdateDeployment, schedule_deployment, update_deployment
from application.freezes import DeclareFreeze, declare_freeze
from application.incidents import (
    Link,
    LinkDeployment,
    ReportIncident,
    ResolveIncident,
    link_deployment,
    report_incident,
    resolve_incident,
)
from application.rollbacks import RollBackLane, roll_back_lane
from domain.freezes import Scope
from domain.incident import Relation
from domain.release import Release
from domain.status import Status
from entrypoints.demo.cast import CHIEF
from entrypoints.demo.story import Run, Story

TERMINAL = Origin(interface="queue", client="rollbook-cli")
BEFORE_THE_END = timedelta(hours=2)


@dataclass
class Trouble:
    """What goes wrong, who did it and who mends it; told minute by minute around `began`."""

    story: Story
    began: datetime
    culprit: Run
    colleague: str
    on_call: str
    back: str = ""
    incident: str = ""

    def plan(self) -> None:
        """Puts every act in its place."""
        self.story.at(self.story.begin + timedelta(hours=11), self.before)
        acts = (
            (-540, self.freeze),
            (-41, self.schedule),
            (-27, self.approve),
            (-15, self.start),
            (-6, self.live),
            (7, self.report),
            (18, self.go_back),
            (21, self.start_back),
            (27, self.live_again),
            (31, self.blame),
            (40, self.resolve),
            (55, self.correct),
        )
        for minutes, act in acts:
            self.story.at(self.began + timedelta(minutes=minutes), act)

    async def before(self) -> None:
        """What is live until then, and can be gone back to."""
        made = await self.put_in(replace(self.culprit.release, version="1.9.4", description="Round prices once"))
        for status in (Status.IN_PROGRESS, Status.DEPLOYED):
            command = UpdateDeployment(made, status, override="The first of the month")
            await self.story.perform(self.colleague, update_deployment, command, TERMINAL)

    async def put_in(self, release: Release) -> str:
        """Queues a release in the lane of the trouble; answers its id."""
        run = self.culprit
        command = ScheduleDeployment(
            run.taxonomy,
            release,
            auto=False,
            created_by_repo=self.story.cast.repository(run.component),
            created_by_workflow="deploy",
            deployment_id=self.story.stage.new_id(),
        )
        return await self.story.perform(run.author, schedule_deployment, command, self.story.origin(run))

    async def freeze(self) -> None:
        """Nobody shall touch it today."""
        scope = Scope(name=self.culprit.taxonomy.name, environment=self.culprit.environment)
        until = self.began + timedelta(hours=12)
        freeze_id = str(self.story.stage.new_id())
        command = DeclareFreeze(scope, "The sale begins today", until, freeze_id)
        await self.story.perform(CHIEF, declare_freeze, command, TERMINAL)

    async def schedule(self) -> None:
        """The change is queued."""
        self.culprit = replace(self.culprit, id=await self.put_in(self.culprit.release))

    async def approve(self) -> None:
        """Somebody looks at it, not for long."""
        cast, run = self.story.cast, self.culprit
        repository = cast.repository(run.component)
        caller = Caller(cast.organisation, self.colleague, Role.APPROVER, "pat", repository, "cli")
        command = ApproveDeployment(run.id, caller, "Two lines, looks fine")
        await self.story.perform(self.colleague, approve_deployment, command, TERMINAL)

    async def start(self) -> None:
        """The freeze is overridden."""
        reason = "The logos of cards are missing, and the sale begins"
        command = UpdateDeployment(self.culprit.id, Status.IN_PROGRESS, override=reason)
        await self.story.perform(self.culprit.author, update_deployment, command, self.story.origin(self.culprit))

    async def live(self) -> None:
        """Customers get it."""
        command = UpdateDeployment(self.culprit.id, Status.DEPLOYED)
        await self.story.perform(self.culprit.author, update_deployment, command, self.story.origin(self.culprit))

    async def report(self) -> None:
        """The one on call is woken."""
        title = "Every third payment is answered with 500"
        command = ReportIncident(title, self.began, "INC-2107", incident_id=self.story.stage.new_id())
        self.incident = await self.story.perform(self.on_call, report_incident, command, TERMINAL)

    async def go_back(self) -> None:
        """Back to what was live before."""
        run = self.culprit
        command = RollBackLane(
            run.taxonomy,
            self.story.cast.repository(run.component),
            "rollback",
            environment=run.environment,
            deployment_id=self.story.stage.new_id(),
        )
        self.back = await self.story.perform(self.on_call, roll_back_lane, command, TERMINAL)

    async def start_back(self) -> None:
        """The freeze is overridden once more."""
        command = UpdateDeployment(self.back, Status.IN_PROGRESS, override="Takes back the cause of INC-2107")
        await self.story.perform(self.on_call, update_deployment, command, TERMINAL)

    async def live_again(self) -> None:
        """Customers can pay."""
        await self.story.perform(
            self.on_call, update_deployment, UpdateDeployment(self.back, Status.DEPLOYED), TERMINAL
        )

    async def blame(self) -> None:
        """Which deployment did it, and which mended it."""
        for deployment_id, relation in ((self.culprit.id, Relation.CAUSED), (self.back, Relation.FIXED)):
            command = LinkDeployment(UUID(self.incident), Link(UUID(deployment_id), relation))
            await self.story.perform(self.on_call, link_deployment, command, TERMINAL)

    async def resolve(self) -> None:
        """It was over when the rollback was live."""
        command = ResolveIncident(UUID(self.incident), self.began + timedelta(minutes=27))
        await self.story.perform(self.on_call, resolve_incident, command, TERMINAL)

    async def correct(self) -> None:
        """The pipeline had reported late."""
        went = self.began - timedelta(minutes=9)
        command = CorrectDeployment(self.culprit.id, went, "The log of the target says so: the pipeline was late")
        await self.story.perform(self.culprit.author, correct_deployment, command, TERMINAL)


def trouble(story: Story) -> Trouble:
    """The trouble of the last day, with a version that nobody has seen before."""
    cast, component = story.cast, story.cast.components[0]
    author, colleague, on_call = cast.members[component.team]
    began = (story.until - BEFORE_THE_END).replace(second=0, microsecond=0)
    release = Release(
        version="2.0.0",
        environment=cast.environments[-1],
        type="k8s",
        commit_sha=f"{story.chance.getrandbits(160):040x}",
        description="Show the logos of cards again",
        committed_at=(began - timedelta(minutes=75)).isoformat(timespec="microseconds"),
        change_url=f"https://github.com/{cast.repository(component)}/pull/901",
    )
    taxonomy = cast.places(component, release.environment)[0]
    return Trouble(story, began, Run(component, taxonomy, release, author, 8_000_000_000), colleague, on_call)
