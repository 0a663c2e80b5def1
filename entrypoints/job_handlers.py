"""Builds what does the work of jobs."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from adapters.keyring import mask_key
from adapters.packages.selecting import Selecting
from adapters.postgres.conditions import equals
from application.deploying import Deploying
from application.execution import Handler as CommandHandler
from application.handlers import Handler, by_name
from application.packing import Packing
from domain.errors import NotFound
from domain.manifest import PackageInfo
from entrypoints.workers.acting import circumstances
from projections.packages import info_of
from projections.registry import PACKAGES

if TYPE_CHECKING:
    from entrypoints.composition import Rollbook


def handlers_of(rollbook: "Rollbook") -> dict[str, Handler]:
    """Every handler by its name; another kind of job is one more line."""
    work = Work(rollbook)
    look = rollbook.executor.look
    packing = Packing(rollbook.environments, rollbook.packages, rollbook.select, work.about, look, work.run)
    deploying = Deploying(rollbook.environments, rollbook.packages, look, work.run)
    return by_name(packing.handler(), *deploying.handlers())


def selecting(rollbook: "Rollbook") -> Selecting:
    """Understands selections; masks hold within an organisation and tell nobody else anything."""

    async def key_of(organisation: str) -> str:
        return mask_key(await rollbook.people.organisation_key(organisation))

    return Selecting(key_of)


class Work:
    """What handlers ask of Rollbook."""

    def __init__(self, rollbook: "Rollbook") -> None:
        self.rollbook = rollbook

    async def run(self, organisation: str, handle: CommandHandler, command: Any) -> Any:
        """Executes a command, as Rollbook itself."""
        around = await circumstances(self.rollbook, organisation, "worker")
        return await self.rollbook.executor.execute(organisation, around, handle, command)

    async def about(self, organisation: str, package_id: UUID) -> PackageInfo:
        """What is said about a package; NotFound when it is gone."""
        wanted = [equals("key", str(package_id))]
        rows = (await self.rollbook.views.select(organisation, PACKAGES, wanted, order="key")).rows
        if not rows:
            raise NotFound("Package not found")
        names = await self.rollbook.people.logins_of(organisation, {rows[0]["actor"]})
        return info_of(rows[0], names[rows[0]["actor"]])
