"""Packs: reads what was chosen from an environment in one snapshot, and keeps it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from application.execution import Handler as CommandHandler
from application.handlers import Attempt, Handler, explained, log_facts
from application.packages import PACKING, OfPackage, packing_concerns, start_packing
from application.ports.databases import Selection, Source
from application.ports.environments import Environments
from application.ports.packages import PackageStore
from domain.errors import NotFound
from domain.manifest import Choice, PackageInfo, name_of
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
        about, progress = await self.about(organisation, package_id), Progress(attempt)
        async with source.read(selection) as reading:
            names = [name_of(environment.kind, table) for table in reading.tables]
            progress.expect({name: await reading.expected(name) for name in names})
            keep, match_keys = self.packages.keep, selection.match_keys
            packed = await keep(environment.kind, reading, about, choice, match_keys, progress.report)
        progress.finish()
        for table, rows in packed.records.items():
            log_facts(attempt, table=table, packed=rows)
        return {"packed": asdict(packed)}


@dataclass(slots=True)
class Progress:
    """Tells an attempt how many rows of which table are done, and of about how many in all where that is known."""

    attempt: Attempt
    done: int = 0
    before: int = 0
    table: str = ""
    left: dict[str, int] = field(default_factory=dict)

    def expect(self, rows: Mapping[str, int]) -> None:
        """Takes note of about how many rows there are in each table."""
        self.left = dict(rows)
        self.attempt.progress(done=0, total=sum(rows.values()))

    def report(self, table: str, rows: int) -> None:
        """Adds rows."""
        if table != self.table:
            self.left.pop(self.table, None)
            self.table, self.before = table, self.done
        self.done += rows
        self.attempt.progress(done=self.done, table=table, **self.total())

    def total(self) -> dict[str, int]:
        """How many there are in all: what was counted of tables that are done, what is expected of the others."""
        if not self.left:
            return {}
        others = sum(rows for name, rows in self.left.items() if name != self.table)
        return {"total": self.before + max(self.left.get(self.table, 0), self.done - self.before) + others}

    def finish(self) -> None:
        """All is done, however much was expected."""
        self.attempt.progress(done=self.done, total=self.done)
