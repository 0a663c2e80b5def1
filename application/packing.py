"""Packs: reads what was chosen from an environment in one snapshot, and keeps it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from application.execution import Handler as CommandHandler
from application.handlers import Attempt, Handler, explained
from application.packages import PACKING, OfPackage, packing_concerns, start_packing
from application.ports.databases import Selection, Source
from application.ports.environments import Environments
from application.ports.packages import PackageStore
from domain.errors import NotFound
from domain.manifest import Choice, PackageInfo
from domain.package import Package

Run = Callable[[str, CommandHandler, Any], Awaitable[Any]]
"""Executes a command for an organisation, as Rollbook itself."""
Look = Callable[[str, type[Package], UUID], Awaitable[Package | None]]
Select = Callable[[str, Source, Mapping[str, Any]], Awaitable[tuple[Selection, Choice]]]
"""What an organisation's selection, as it was asked for, means for a source; Invalid where it means nothing."""
About = Callable[[str, UUID], Awaitable[PackageInfo]]
"""What is said about a package, as its users see it."""


@dataclass(frozen=True, slots=True)
class Packing:
    """The handler of PACKAGE_PACKING. A try that follows another begins from nothing, in a snapshot of its own."""

    environments: Environments
    packages: PackageStore
    select: Select
    about: About
    look: Look
    run: Run

    def handler(self) -> Handler:
        """As it is registered."""
        return Handler(PACKING, "package_packing", "pack", self.pack, packing_concerns)

    async def pack(self, attempt: Attempt) -> dict[str, Any]:
        """Packs what the job's package is to hold."""
        with explained(attempt):
            return await self.packed(attempt)

    async def packed(self, attempt: Attempt) -> dict[str, Any]:
        """What it holds then."""
        organisation, package_id = attempt.organisation, UUID(attempt.arguments["package_id"])
        await self.run(organisation, start_packing, OfPackage(package_id))
        package = await self.look(organisation, Package, package_id)
        if package is None:
            raise NotFound("Package not found")
        environment = await self.environments.find(organisation, attempt.arguments["environment"])
        source = environment.source()
        selection, choice = await self.select(organisation, source, package.selection)
        about, report = await self.about(organisation, package_id), Progress(attempt).report
        async with source.read(selection) as reading:
            packed = await self.packages.keep(environment.kind, reading, about, choice, selection.match_keys, report)
        return {"packed": asdict(packed)}


@dataclass(slots=True)
class Progress:
    """Tells an attempt how many rows of which table are done."""

    attempt: Attempt
    done: int = 0

    def report(self, table: str, rows: int) -> None:
        """Adds rows."""
        self.done += rows
        self.attempt.progress(done=self.done, table=table)
