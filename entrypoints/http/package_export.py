"""Packages as files: a zip, one JSON document, or a signed bundle, streamed however large they are."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from adapters.packages.document import Tally
from adapters.packages.exporting import FORMATS, ZIP, File
from application import packages as commands
from application.exports import RequestExport, request_export
from application.ports.packages import FileWanted
from domain.errors import Clash, NotFound, RollbookError
from domain.manifest import PackageInfo
from entrypoints.http import data_deployment_models as answers
from entrypoints.http import package_models as models
from entrypoints.http.commands import execute
from entrypoints.http.deployment_waiting import scheduled
from entrypoints.http.package_answers import find_package, logins, parse_package_id
from entrypoints.http.package_deploying import is_repeat
from entrypoints.http.package_reading import ONE
from entrypoints.http.packages import packages
from entrypoints.http.reading import reading
from entrypoints.http.routing import Answer, Call
from entrypoints.http.waiting import present_job
from projections.packages import info_of
from projections.read_model import Row

LEFT = "Whoever asked for the file did not wait for its end"
LATER = 202
Chunks = AsyncGenerator[bytes, None]


@packages.post(
    f"{ONE}/generate",
    action="package.export",
    answer=bytes,
    media_type=ZIP,
    also={LATER: answers.ScheduledJob},
    patient=True,
    raises=(NotFound, Clash),
)
async def generate_package(call: Call, package_id: str, body: models.GenerateBody) -> Answer:
    """Make a file of a package, or of some of its rows; 202 with a job that does where nobody is to wait.

    A file that could not be made is in the package's history too.
    """
    if body.background and await is_repeat(call, LATER):
        return await by_job(call, package_id, body)
    row = await find_package(await reading(call), package_id)
    if row["packed"] is None:
        raise Clash(f"The package holds nothing: it is {row['status']}")
    export = Export(call, package_id, body.format)
    if body.background:
        await export.check(row["packed"]["manifest"], wanted_of(body))
        return await by_job(call, package_id, body)
    return await at_once(call, row, export, wanted_of(body))


async def by_job(call: Call, package_id: str, body: models.GenerateBody) -> Answer:
    """The job that makes the file."""
    options = body.model_dump(mode="json", exclude={"background"})
    command = RequestExport(parse_package_id(package_id), options)
    job_id = UUID((await execute(call, request_export, command, LATER)).resource)
    return scheduled(await present_job(call, job_id), "Generation job created")


async def at_once(call: Call, row: Row, export: "Export", wanted: FileWanted) -> Answer:
    """The file itself."""
    about = info_of(row, (await logins(call, [row]))[row["actor"]])
    file = await export.opened(row["packed"]["manifest"], about, wanted)
    return file_answer(file.name, wanted.format, export.recorded(call.app.exporter.written(file)))


def file_answer(name: str, format: str, chunks: Chunks, size: int | None = None) -> Answer:
    """A file as a download, whose size may be known."""
    headers = {"content-disposition": f"attachment; filename={name}"}
    headers |= {} if size is None else {"content-length": str(size)}
    return Answer(200, b"", headers, FORMATS[format][1], chunks)


def wanted_of(body: models.GenerateBody) -> FileWanted:
    """Which file, and which rows it is to hold."""
    return FileWanted(body.format.value, (*body.tables, *body.collections), body.where_clause)


@dataclass(slots=True)
class Export:
    """One file on its way. Its last piece goes out when what was made is recorded."""

    call: Call
    package_id: str
    format: models.FileFormat
    records: dict[str, int] = field(default_factory=dict)
    ended: bool = False

    async def check(self, digest: str, wanted: FileWanted) -> None:
        """Returns when a job may be asked for the file."""
        try:
            await self.call.app.exporter.check(self.call.caller.organisation, digest, wanted)
        except RollbookError as problem:
            await self.fail(problem.message)
            raise

    async def opened(self, digest: str, about: PackageInfo, wanted: FileWanted) -> File:
        """The file, once it is known that it can be made."""
        try:
            file: File = await self.call.app.exporter.opened(self.call.caller.organisation, digest, about, wanted)
        except RollbookError as problem:
            await self.fail(problem.message)
            raise
        self.records = file.manifest.records
        return file

    async def recorded(self, chunks: Chunks) -> Chunks:
        """The same bytes; what came of them is recorded."""
        tally, held, why = Tally(), None, LEFT
        try:
            async for piece in tally.counting(chunks):
                if held is not None:
                    yield held
                held = piece
            await self.record(size=tally.size, sha256=tally.sha256.hexdigest(), records=self.records)
            yield held or b""
        except RollbookError as problem:
            why = problem.message
            raise
        finally:
            await chunks.aclose()
            if not self.ended:
                await self.fail(why)

    async def fail(self, why: str) -> None:
        """No file came of it."""
        await self.record(error=why)

    async def record(self, **facts: Any) -> None:
        """An entry in the package's history, one a file."""
        self.ended = True
        identity: dict[str, Any] = {"package_id": parse_package_id(self.package_id), "action_id": uuid4()}
        command = commands.RecordExport(format=self.format.value, **identity, **facts)
        await execute(self.call, commands.record_export, command)
