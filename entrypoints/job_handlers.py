"""Builds what does the work of jobs."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from adapters.failpoints import failpoint
from adapters.keyring import mask_key
from adapters.packages.selecting import Selecting
from adapters.postgres.conditions import equals
from application.deploying import Deploying
from application.execution import Handler as CommandHandler
from application.exporting import Exporting
from application.handlers import Handler, by_name
from application.packing import Packing
from domain.errors import NotFound
from domain.manifest import PackageInfo
from entrypoints.admission import refuse_unsigned
from entrypoints.workers.acting import circumstances
from projections.packages import info_of
from projections.read_model import Row
from projections.registry import PACKAGES

if TYPE_CHECKING:
    from entrypoints.composition import Rollbook


def handlers_of(rollbook: "Rollbook") -> dict[str, Handler]:
    """Every handler by its name; another kind of job is one more line."""
    work = Work(rollbook)
    look = rollbook.executor.look
    packing = Packing(rollbook.environments, rollbook.packages, rollbook.select, work.about, look, work.run)
    stores = (rollbook.environments, rollbook.packages, rollbook.mappings)
    deploying = Deploying(*stores, work.admit, look, work.run, work.grown)
    exporting = Exporting(rollbook.exporter, work.about, look, work.run)
    return by_name(packing.handler(), exporting.handler(), *deploying.handlers())


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
        name = getattr(handle, "__name__", "")
        failpoint(f"before_{name}")
        done = await self.rollbook.executor.execute(organisation, around, handle, command)
        failpoint(f"after_{name}")
        return done

    async def about(self, organisation: str, package_id: UUID) -> PackageInfo:
        """What is said about a package; NotFound when it is gone."""
        row = await self.row(organisation, package_id)
        names = await self.rollbook.people.logins_of(organisation, {row["actor"]})
        return info_of(row, names[row["actor"]])

    async def admit(self, organisation: str, package_id: UUID) -> None:
        """Invalid when the package lacks a signature that it must have."""
        refuse_unsigned(self.rollbook.settings, await self.row(organisation, package_id))

    async def row(self, organisation: str, package_id: UUID) -> Row:
        """The package as its users see it, or NotFound."""
        wanted = [equals("key", str(package_id))]
        rows = (await self.rollbook.views.select(organisation, PACKAGES, wanted, order="key")).rows
        if not rows:
            raise NotFound("Package not found")
        return rows[0]

    async def grown(self, seconds: float) -> None:
        """Returns when something was recorded, at the latest after so many seconds."""
        await self.rollbook.log.wait_beyond(self.rollbook.log.seen, seconds)
