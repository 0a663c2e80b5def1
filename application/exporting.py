"""Makes files of packages that nobody waits for: what the job behind a download does."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from application.exports import GENERATING, PREFIX, StartExport, generating_concerns, start_export
from application.handlers import Attempt, Handler, explained, log_facts
from application.packing import About, Look, Progress, Run
from application.ports.packages import FileKeeper, FileWanted
from domain.errors import NotFound
from domain.package import Package


@dataclass(frozen=True, slots=True)
class Exporting:
    """The handler of PACKAGE_GENERATION. A try that follows another makes the same bytes, which are kept once."""

    files: FileKeeper
    about: About
    look: Look
    run: Run

    def handler(self) -> Handler:
        """As it is registered."""
        return Handler(GENERATING, "package_generation", PREFIX, self.generate, generating_concerns)

    async def generate(self, attempt: Attempt) -> dict[str, Any]:
        """Makes the file, and says where it is."""
        with explained(attempt):
            return await self.generated(attempt)

    async def generated(self, attempt: Attempt) -> dict[str, Any]:
        """The result."""
        organisation, package_id = attempt.organisation, UUID(attempt.arguments["package_id"])
        command = StartExport(package_id, attempt.job_id, attempt.fence)
        action_id = (await self.run(organisation, start_export, command)).resource
        package = await self.look(organisation, Package, package_id)
        if package is None:
            raise NotFound("Package not found")
        about, wanted = await self.about(organisation, package_id), wanted_of(attempt)
        manifest, progress = package.contents().manifest, Progress(attempt)
        made = await self.files.keep(organisation, manifest, about, wanted, progress.expect, progress.report)
        progress.finish()
        log_facts(attempt, file=made.name, size_bytes=made.size, records=made.records)
        return {
            "package_data": f"/api/jobs/{PREFIX}-{attempt.job_id}/file",
            "file_name": made.name,
            "size_bytes": made.size,
            "checksum": made.sha256,
            "action_id": action_id,
            "format": wanted.format,
            "records": dict(made.records),
        }


def wanted_of(attempt: Attempt) -> FileWanted:
    """What was asked for."""
    asked = attempt.arguments
    return FileWanted(asked["format"], (*asked["tables"], *asked["collections"]), asked["where_clause"])
