"""Deploys packages to environments and takes them back: what the jobs of data deployments do."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from application.data_deployments import (
    DEPLOYING,
    ROLLING_BACK,
    BeginChange,
    begin_change,
    deploying_concerns,
    rolling_back_concerns,
)
from application.handlers import Attempt, Handler
from application.packing import Look, Progress, Run
from application.ports.databases import DeployOptions, Order, Outcome
from application.ports.environments import Environments
from application.ports.packages import PackageStore
from domain.errors import Clash, NotFound, Unavailable
from domain.package import Package

KEYS_TOLD = 1000


@dataclass(frozen=True, slots=True)
class Deploying:
    """The handlers of PACKAGE_DEPLOYMENT and PACKAGE_ROLLBACK. Their tries may follow each other: what a target has
    done already it does not do again."""

    environments: Environments
    packages: PackageStore
    look: Look
    run: Run

    def handlers(self) -> tuple[Handler, Handler]:
        """As they are registered."""
        return (
            Handler(DEPLOYING, "package_deployment", "deploy", self.deploy, deploying_concerns),
            Handler(ROLLING_BACK, "package_rollback", "rollback", self.roll_back, rolling_back_concerns),
        )

    async def deploy(self, attempt: Attempt) -> dict[str, Any]:
        """Deploys the job's package; a dry run leaves nothing behind."""
        options = DeployOptions(**attempt.arguments["options"])
        package = await self.look(attempt.organisation, Package, UUID(attempt.arguments["package_id"]))
        if package is None:
            raise NotFound("Package not found")
        environment = await self.environments.find(attempt.organisation, attempt.arguments["environment"])
        manifest = await self.packages.manifest(package.contents().manifest)
        if not options.dry_run:
            await self.begin(attempt, attempt.job_id)
        attempt.progress(done=0, total=sum(manifest.records.values()))
        order = Order(str(attempt.job_id), package.name, options)
        report = Progress(attempt).report
        outcome = await environment.target().deploy(self.packages.contents(manifest), order, report)
        return {"deployed": {"database_name": environment.database_name, **told(outcome)}}

    async def roll_back(self, attempt: Attempt) -> dict[str, Any]:
        """Takes a deployment back."""
        deployment_id = UUID(attempt.arguments["deployment_id"])
        environment = await self.environments.find(attempt.organisation, attempt.arguments["environment"])
        await self.begin(attempt, deployment_id)
        force = bool(attempt.arguments["force"])
        outcome = await environment.target().roll_back(str(deployment_id), force, Progress(attempt).report)
        return {"tables": counted(outcome)}

    async def begin(self, attempt: Attempt, deployment_id: UUID) -> None:
        """Unavailable, which another try may mend, while another job changes the same."""
        try:
            await self.run(attempt.organisation, begin_change, BeginChange(attempt.job_id, deployment_id))
        except Clash as busy:
            raise Unavailable(busy.message) from None


def told(outcome: Outcome) -> dict[str, Any]:
    """An outcome as its event tells it."""
    return {
        "tables": counted(outcome),
        "keys": {table: dict(list(keys.items())[:KEYS_TOLD]) for table, keys in outcome.keys.items()},
        "mapped": {},
        "warnings": [str(dict(one)) for table in outcome.tables.values() for one in table.failures],
    }


def counted(outcome: Outcome) -> dict[str, dict[str, int]]:
    """Rows by table and by what became of them."""
    kinds = ("new", "changed", "same", "failed")
    return {name: {kind: getattr(table, kind) for kind in kinds} for name, table in outcome.tables.items()}
