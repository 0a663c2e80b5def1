"""Packages as files: a zip, one JSON document, or a signed bundle, streamed however large they are."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from adapters.packages.bundle import write_bundle
from adapters.packages.document import Tally
from adapters.packages.files import file_name, write_json, write_zip
from adapters.packages.narrowing import Narrowing, narrowed
from application import packages as commands
from domain.errors import Clash, NotFound, RollbookError
from domain.manifest import Manifest, PackageInfo
from entrypoints.http import package_models as models
from entrypoints.http.commands import execute
from entrypoints.http.package_answers import find_package, logins, parse_package_id
from entrypoints.http.package_reading import ONE
from entrypoints.http.packages import packages
from entrypoints.http.reading import reading
from entrypoints.http.routing import JSON, Answer, Call
from projections.packages import info_of

ZIP = "application/zip"
LEFT = "Whoever asked for the file did not wait for its end"
ENDINGS = {models.FileFormat.ZIP: "zip", models.FileFormat.JSON: "json", models.FileFormat.BUNDLE: "bundle.zip"}
Chunks = AsyncGenerator[bytes, None]


@packages.post(
    f"{ONE}/generate",
    action="package.export",
    answer=bytes,
    media_type=ZIP,
    patient=True,
    raises=(NotFound, Clash),
)
async def generate_package(call: Call, package_id: str, body: models.GenerateBody) -> Answer:
    """Make a file of a package, or of some of its rows; a file that could not be made is in its history too."""
    row = await find_package(await reading(call), package_id)
    if row["packed"] is None:
        raise Clash(f"The package holds nothing: it is {row['status']}")
    about = info_of(row, (await logins(call, [row]))[row["actor"]])
    export = Export(call, package_id, body.format)
    chunks = export.recorded(await export.opened(row["packed"]["manifest"], about, narrowing_of(body)))
    name = file_name(about, ENDINGS[body.format])
    headers = {"content-disposition": f"attachment; filename={name}"}
    return Answer(200, b"", headers, JSON if body.format is models.FileFormat.JSON else ZIP, chunks)


def narrowing_of(body: models.GenerateBody) -> Narrowing:
    """Which rows the file is to hold."""
    return Narrowing((*body.tables, *body.collections), body.where_clause)


@dataclass(slots=True)
class Export:
    """One file on its way. Its last piece goes out when what was made is recorded."""

    call: Call
    package_id: str
    format: models.FileFormat
    records: dict[str, int] = field(default_factory=dict)
    ended: bool = False

    async def opened(self, digest: str, about: PackageInfo, narrowing: Narrowing) -> Chunks:
        """The file, once it is known that it can be made."""
        app, organisation = self.call.app, self.call.caller.organisation
        try:
            whole = await app.packages.manifest(digest)
            manifest = await narrowed(whole, narrowing, app.packages.store, app.pools, organisation)
        except RollbookError as problem:
            await self.fail(problem.message)
            raise
        self.records = manifest.records
        return self.written(manifest, about)

    def written(self, manifest: Manifest, about: PackageInfo) -> Chunks:
        """The bytes of the file."""
        store = self.call.app.packages.store
        if self.format is models.FileFormat.BUNDLE:
            return write_bundle(manifest, about, store, self.call.app.files.signer)
        return (write_json if self.format is models.FileFormat.JSON else write_zip)(manifest, about, store)

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
