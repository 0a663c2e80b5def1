"""Deploys packages to environments and takes them back: what the jobs of data deployments do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

from application.data_deployments import DEPLOYING, ROLLING_BACK
from application.deployment_turns import deploying_concerns, rolling_back_concerns
from application.execution import Handler as CommandHandler
from application.handlers import Attempt, Handler, explained
from application.installations import (
    THERE_ALREADY,
    BeginDependency,
    ChangeInstallation,
    FinishDependency,
    Occupied,
    OfJob,
    begin_dependency,
    change_installation,
    finish_dependency,
    missing_dependencies,
    refuse_covered,
    start_deployment,
)
from application.mappings import Keeping, was_cancelled
from application.outcomes import counted, log_outcome, refuse_too_many, told
from application.packing import Look, Progress, Run
from application.ports.databases import Contents, DeployOptions, Order, Outcome, Recalled, Target
from application.ports.environments import Environment, Environments
from application.ports.mappings import Mappings
from application.ports.packages import PackageStore
from domain.errors import Invalid, NotFound, RollbookError, Unavailable
from domain.package import Package

Admit = Callable[[str, UUID], Awaitable[None]]
"""Returns when an organisation's package may be deployed; Invalid where it lacks a signature that it must have."""
Grown = Callable[[float], Awaitable[None]]
"""Returns when something was recorded, at the latest after so many seconds."""
WAIT_SECONDS = 900.0
# How long it waits for a job that nobody works on: where very many wait, that one may lack a hand.
GIVE_WAY_SECONDS = 60.0
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 0.05
RECALL_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Deploying:
    """The handlers of PACKAGE_DEPLOYMENT and PACKAGE_ROLLBACK. Their tries may follow each other: what a target has
    done already it does not do again."""

    environments: Environments
    packages: PackageStore
    mappings: Mappings
    admit: Admit
    look: Look
    run: Run
    grown: Grown

    def handlers(self) -> tuple[Handler, Handler]:
        """As they are registered."""
        return (
            Handler(DEPLOYING, "package_deployment", "deploy", self.deploy, deploying_concerns),
            Handler(ROLLING_BACK, "package_rollback", "rollback", self.roll_back, rolling_back_concerns),
        )

    async def deploy(self, attempt: Attempt) -> dict[str, Any]:
        """Deploys the job's package behind those that it depends on; a dry run leaves nothing behind."""
        with explained(attempt):
            environment = await self.environments.find(attempt.organisation, attempt.arguments["environment"])
            command = OfJob(attempt.job_id, attempt.fence)
            started = await self.run(attempt.organisation, start_deployment, command)
            *needed, package_id = map(UUID, started.resource.split())
            if attempt.arguments["options"]["dry_run"]:
                return {"deployed": await self.rehearse(attempt, environment, package_id)}
            for one in needed:
                await self.deploy_dependency(attempt, environment, one)
                stop_if_cancelled()
            order, contents = await self.ordered(attempt, environment, package_id, attempt.job_id)
            await self.occupy(attempt, change_installation, ChangeInstallation(*of(attempt), attempt.job_id))
            return {"deployed": await self.made(attempt, environment, order, contents)}

    async def rehearse(self, attempt: Attempt, environment: Environment, package_id: UUID) -> dict[str, Any]:
        """What a deployment would do; what it depends on and lacks is a warning."""
        order, contents = await self.ordered(attempt, environment, package_id, attempt.job_id)
        lacking = await self.run(attempt.organisation, missing_dependencies, OfJob(*of(attempt)))
        outcome = await environment.target().deploy(contents, order, Progress(attempt).report)
        log_outcome(attempt, outcome)
        found = told(environment.database_name, outcome)
        warnings = [f"pkg-{one} would be deployed first" for one in lacking.resource.split()]
        return {**found, "warnings": warnings + found["warnings"]}

    async def deploy_dependency(self, attempt: Attempt, environment: Environment, package_id: UUID) -> None:
        """Deploys a package that the job's own depends on, unless it is there."""
        try:
            begun = await self.occupy(attempt, begin_dependency, BeginDependency(*of(attempt), package_id))
            if begun == THERE_ALREADY:
                return
            order, contents = await self.ordered(attempt, environment, package_id, UUID(begun))
            done = await self.made(attempt, environment, order, contents)
            await self.run(attempt.organisation, finish_dependency, FinishDependency(*of(attempt), UUID(begun), done))
        except RollbookError as refusal:
            refusal.message = f"pkg-{package_id}, which the package depends on: {refusal.message}"
            raise

    async def ordered(
        self, attempt: Attempt, environment: Environment, package_id: UUID, deployment_id: UUID
    ) -> tuple[Order, Contents]:
        """What the target is to do with what; Invalid for what may not go there."""
        package = await self.look(attempt.organisation, Package, package_id)
        if package is None:
            raise NotFound("Package not found")
        await self.admit(attempt.organisation, package_id)
        refuse_other_kind(package.contents().database_type, environment)
        manifest = await self.packages.manifest(package.contents().manifest)
        refuse_too_many(manifest)
        attempt.progress(done=0, total=sum(manifest.records.values()), package=f"pkg-{package_id}")
        options = DeployOptions(**attempt.arguments["options"])
        order = Order(str(deployment_id), lineage_of(attempt.organisation, package.name), options)
        return order, self.packages.contents(manifest)

    async def made(
        self, attempt: Attempt, environment: Environment, order: Order, contents: Contents
    ) -> dict[str, Any]:
        """Makes a deployment; what it did, as its event tells it."""
        target, report = environment.target(), Progress(attempt).report
        try:
            outcome = await target.deploy(contents, order, report)
        except asyncio.CancelledError:
            outcome = in_spite(await recalled(target, order.package, order.deployment_id), rolled_back=False)
        log_outcome(attempt, outcome)
        keeping = Keeping(self.mappings, target, order.deployment_id, attempt)
        return await keeping.added(told(environment.database_name, outcome))

    async def roll_back(self, attempt: Attempt) -> dict[str, Any]:
        """Takes a deployment back."""
        with explained(attempt):
            deployment_id = UUID(attempt.arguments["deployment_id"])
            environment = await self.environments.find(attempt.organisation, attempt.arguments["environment"])
            change = ChangeInstallation(*of(attempt), deployment_id)
            await self.occupy(attempt, change_installation, change)
            target, force = environment.target(), bool(attempt.arguments["force"])
            package = lineage_of(attempt.organisation, attempt.arguments["package"])
            before = await target.recall(package, str(deployment_id))
            if before and before.rolled_back:
                return {"tables": counted(before.outcome)}
            await self.run(attempt.organisation, refuse_covered, change)
            try:
                outcome = await target.roll_back(str(deployment_id), force, Progress(attempt).report)
            except asyncio.CancelledError:
                outcome = in_spite(await recalled(target, package, str(deployment_id)), rolled_back=True)
            log_outcome(attempt, outcome)
            return {"tables": counted(outcome)}

    async def occupy(self, attempt: Attempt, handle: CommandHandler, command: OfJob) -> str:
        """Runs a command as soon as nobody else changes the installation; Unavailable after a long wait."""
        until = patience = monotonic() + WAIT_SECONDS
        while True:
            try:
                resource: str = (await self.run(attempt.organisation, handle, command)).resource
                attempt.progress(waits=None)
                return resource
            except Occupied as busy:
                attempt.progress(waits=busy.message)
                patience = min(patience, monotonic() + GIVE_WAY_SECONDS) if busy.details["waits"] else until
                if monotonic() >= patience:
                    raise Unavailable(busy.message) from None
            await self.grown(LOOK_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)


def of(attempt: Attempt) -> tuple[UUID, int]:
    """Which job, and which start of it."""
    return attempt.job_id, attempt.fence


def lineage_of(organisation: str, package: str) -> str:
    """The name that targets know a package by: those of two organisations may go to one database."""
    return f"{organisation}/{package}"


def refuse_other_kind(database_type: str, environment: Environment) -> None:
    """Invalid when a package is not for this kind of database."""
    if database_type != environment.kind:
        raise Invalid(f"The package is for {database_type}, and environment '{environment.name}' is {environment.kind}")


async def recalled(target: Target, package: str, deployment_id: str) -> Recalled | None:
    """What came of a change that was called off while it may have been at its commit; None when nobody knows."""
    try:
        async with asyncio.timeout(RECALL_SECONDS):
            return await target.recall(package, deployment_id)
    except (RollbookError, OSError):
        return None


def stop_if_cancelled() -> None:
    """Raises CancelledError when it was."""
    if was_cancelled():
        raise asyncio.CancelledError


def in_spite(found: Recalled | None, rolled_back: bool) -> Outcome:
    """What was done although it was called off; raises CancelledError when it was not."""
    if found is None or found.rolled_back is not rolled_back:
        raise asyncio.CancelledError
    return found.outcome
