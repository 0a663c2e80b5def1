"""Does what acts say, as a user, a worker or a handler does it."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

from application import data_deployments, exports, incidents, installations, packages, teams
from application.audit import RequestAuditExport, request_audit_export
from application.execution import Executor, Handler
from application.organisations import EraseOrganisation, erase_organisation
from application.ports.event_store import Actor
from domain.errors import RollbookError
from domain.job import Job
from tests.kernel.acts import (
    DEPLOYED,
    ON_ENVIRONMENT,
    ON_INCIDENT,
    ON_JOB,
    ON_PACKAGE,
    PACKED,
    WORK,
    Act,
    link,
    some_teams,
)
from tests.kernel.conftest import Kernel
from tests.kernel.webhook_acts import HOOKED, ON_WEBHOOK, subscribing
from tests.reference.stories import AROUND, Ticking

BY_USERS = ("cancel", "retry")


@dataclass
class Acting:
    """For one organisation or another; what is refused is part of a history too."""

    kernel: Kernel
    made: dict[str, list[tuple[str, UUID]]] = field(default_factory=dict)
    ids: Any = field(default_factory=lambda: map(UUID, (f"{n:032x}" for n in count(1_000_000))))

    def __post_init__(self) -> None:
        self.clock = Ticking()
        self.executor = Executor(self.kernel.store, self.clock)

    async def live_through(self, acts: list[Act]) -> None:
        """All of it, one an hour."""
        for act in acts:
            self.clock.now += timedelta(hours=1)
            await self.act(act)

    async def act(self, act: Act) -> None:
        """One of it; nothing where there is no such target."""
        organisation = "other" if act.choice == 3 else "acme"
        if act.what in ON_ENVIRONMENT:
            await self.run(organisation, *ON_ENVIRONMENT[act.what](("staging", "test")[act.choice % 2]))
        elif act.what == "set teams":
            await self.run(organisation, teams.set_teams, some_teams(act.choice))
        elif act.what in ("report", *ON_INCIDENT):
            await self.suffer(organisation, act)
        elif act.what in HOOKED:
            await self.hook(organisation, act)
        elif act.what == "take out":
            taken = RequestAuditExport("events", act.choice, 9, {"topic": "job"}, next(self.ids))
            await self.run(organisation, request_audit_export, taken)
        elif act.what == "forget all":
            await self.run(organisation, erase_organisation, EraseOrganisation("The contract has ended"))
        elif act.what in ("define", "import"):
            await self.make_package(organisation, act)
        elif act.what in (*ON_JOB, "record", "carry out"):
            await self.work(act)
        elif act.what == "roll back":
            await self.roll_back(act)
        else:
            await self.use_package(act)

    async def run(self, organisation: str, handler: Handler, command: Any, by: int = 1) -> str | None:
        """What is answered; None when it is refused."""
        around = replace(
            AROUND, actor=Actor(UUID(int=by), "c2VhbGVk"), correlation_id=next(self.ids).hex, traceparent=f"trace {by}"
        )
        try:
            return (await self.executor.execute(organisation, around, handler, command)).resource
        except RollbookError:
            return None

    def found(self, kind: str, target: int) -> tuple[str, UUID] | None:
        """Whose it is, and its id."""
        made = self.made.get(kind, [])
        return made[-1 - target] if target < len(made) else None

    def note(self, organisation: str, made: str | None, *kinds: str) -> None:
        """Lets later acts find it, unless it was refused."""
        for kind in kinds if made else ():
            self.made.setdefault(kind, []).append((organisation, UUID(made)))

    async def suffer(self, organisation: str, act: Act) -> None:
        """Something is broken, and something that was deployed has to do with it."""
        _, deployment = self.found("deployment", act.target) or (None, UUID(int=0))
        if act.what == "report":
            links = [link(deployment, act.choice)] if act.choice > 4 else []
            report = incidents.ReportIncident("Down", self.clock.now, "INC-1", links, next(self.ids))
            self.note(organisation, await self.run(organisation, incidents.report_incident, report), "incident")
        elif incident := self.found("incident", act.target):
            await self.run(incident[0], *ON_INCIDENT[act.what](incident[1], deployment, act.choice))

    async def hook(self, organisation: str, act: Act) -> None:
        """Somebody wants to be told of events, or does something about that."""
        if act.what == "subscribe":
            made = await self.run(organisation, *subscribing(next(self.ids), act.choice))
            self.note(organisation, made, "webhook")
        elif webhook := self.found("webhook", act.target):
            await self.run(webhook[0], *ON_WEBHOOK[act.what](webhook[1], act.choice))

    async def make_package(self, organisation: str, act: Act, needs: tuple[UUID, ...] = ()) -> None:
        """Another version of a package, seldom one that was there before."""
        version = "1" if act.choice == 7 else str(len(self.made.get("package", [])))
        name = "till" if needs else f"shop-{act.choice % 2}"
        facts: dict[str, Any] = {"dependencies": needs, "package_id": next(self.ids), "metadata": {"from": "here"}}
        if act.what == "import":
            imported = packages.ImportPackage(name, version, "table", PACKED, original_id="pkg-1", **facts)
            return self.note(organisation, await self.run(organisation, packages.import_package, imported), "package")
        defined = packages.DefinePackage(name, version, "table", "test", {"tables": ["customers"]}, **facts)
        made = await self.run(organisation, packages.define_package, defined)
        self.note(organisation, made, "package", "job")

    async def use_package(self, act: Act) -> None:
        """Something that is done with a package."""
        if not (target := self.found("package", act.target)):
            return
        organisation, one = target
        if act.what == "define dependent":
            await self.make_package(organisation, act, (one,))
        elif act.what in ON_PACKAGE:
            await self.run(organisation, *ON_PACKAGE[act.what](one, act.choice))
        elif act.what == "generate":
            wanted = {"format": "zip", "tables": [], "collections": [], "where_clause": {}}
            asked = exports.RequestExport(one, wanted, job_id=next(self.ids))
            self.note(organisation, await self.run(organisation, exports.request_export, asked), "job")
        else:
            await self.deploy(organisation, one, act)

    async def deploy(self, organisation: str, one: UUID, act: Act) -> None:
        """A package is to be deployed, or only tried."""
        due_at = self.clock.now + timedelta(minutes=30) if act.what == "deploy later" else None
        options = {"dry_run": act.what == "rehearse", "update_existing": act.choice % 2 == 0}
        environment = ("staging", "test")[act.choice == 5]
        command = data_deployments.DeployPackage(one, environment, options, due_at, deployment_id=next(self.ids))
        made = await self.run(organisation, data_deployments.deploy_package, command)
        self.note(organisation, made, "job", *([] if options["dry_run"] else ["deployment"]))

    async def roll_back(self, act: Act) -> None:
        """A deployment is to be taken back."""
        if target := self.found("deployment", act.target):
            command = data_deployments.RollBackDeployment(target[1], "Too early", job_id=next(self.ids))
            made = await self.run(target[0], data_deployments.roll_back_deployment, command)
            self.note(target[0], made, "job")

    async def work(self, act: Act) -> None:
        """A worker, or somebody who stops it, does something to a job."""
        if not (target := self.found("job", act.target)):
            return
        organisation, job_id = target
        for what in ("begin", "record", "complete") if act.what == "carry out" else (act.what,):
            job = await self.executor.look(organisation, Job, job_id)
            assert job is not None
            if what == "record":
                await self.record(organisation, job)
            else:
                by = 1 if what in BY_USERS else 2
                await self.run(organisation, *ON_JOB[what](job, *WORK[job.handler]), by=by)

    async def record(self, organisation: str, job: Job) -> None:
        """What its handler records while it works."""
        held, of_package = (job.id, job.fence), UUID(job.arguments.get("package_id", str(job.id)))
        if job.handler == packages.PACKING:
            await self.run(organisation, packages.start_packing, packages.OfPackage(of_package), by=2)
            return
        if job.handler == exports.GENERATING:
            await self.run(organisation, exports.start_export, exports.StartExport(of_package, *held), by=2)
            return
        deployment_id = UUID(job.arguments.get("deployment_id", str(job.id)))
        if job.handler == data_deployments.DEPLOYING:
            started = await self.run(organisation, installations.start_deployment, installations.OfJob(*held), by=2)
            if not started or job.arguments["options"]["dry_run"]:
                return
            for needed in started.split()[:-1]:
                await self.deploy_dependency(organisation, held, UUID(needed))
        command = installations.ChangeInstallation(*held, deployment_id)
        await self.run(organisation, installations.change_installation, command, by=2)

    async def deploy_dependency(self, organisation: str, held: tuple[UUID, int], needed: UUID) -> None:
        """A package that the job's own depends on is deployed before it."""
        begin = installations.BeginDependency(*held, needed)
        begun = await self.run(organisation, installations.begin_dependency, begin, by=2)
        self.note(organisation, begun, "deployment")
        if begun:
            finish = installations.FinishDependency(*held, UUID(begun), DEPLOYED)
            await self.run(organisation, installations.finish_dependency, finish, by=2)
