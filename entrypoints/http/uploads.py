"""Resumable uploads of large files in the protocol tus 1.0: core, creation, expiration and termination."""

import re
from collections.abc import AsyncIterator
from datetime import UTC
from email.utils import format_datetime
from uuid import UUID

from pydantic import BaseModel, Field

from adapters.uploads import Upload
from domain.errors import Clash, Invalid, NotFound, RollbookError, TooLarge, VersionMismatch
from entrypoints.http.commands import command_key
from entrypoints.http.errors import CutOff, TooSlow
from entrypoints.http.headers import NUMBER, Header
from entrypoints.http.ids import parse_id
from entrypoints.http.package_import import taken_in
from entrypoints.http.package_models import LONGEST_NAME
from entrypoints.http.package_objects import CreatedPackage
from entrypoints.http.packages import packages
from entrypoints.http.reading import SHOWN
from entrypoints.http.routing import Answer, Call

PATH = "/api/uploads"
VERSION = "1.0.0"
OFFSET_STREAM = "application/offset+octet-stream"
LONGEST_METADATA = 4096
COUNT = re.compile(r"[0-9]{1,15}")
TUS = Header("Tus-Resumable", f"The version of the protocol: {VERSION}")
LENGTH = Header("Upload-Length", "How many bytes the whole file has", NUMBER)
OFFSET = Header("Upload-Offset", "How many bytes are there", NUMBER)
METADATA = Header("Upload-Metadata", "What the client says about the file, as it said it")
EXPIRES = Header("Upload-Expires", "When the upload is forgotten")
LOCATION = Header("Location", "Where the upload is")


@packages.route(
    "OPTIONS",
    PATH,
    open=True,
    status=204,
    gives=(TUS, Header("Tus-Version", "What is spoken"), Header("Tus-Extension", "What is known beyond the core")),
)
async def describe_uploads(call: Call) -> Answer:
    """Tell what can be done with uploads."""
    told = {"tus-version": VERSION, "tus-extension": "creation,expiration,termination"}
    return Answer(204, headers={**told, "tus-resumable": VERSION, "tus-max-size": str(call.app.uploads.largest)})


@packages.post(
    PATH,
    action="package.import",
    status=201,
    appends=False,
    takes=(TUS, LENGTH, METADATA),
    gives=(TUS, LOCATION, EXPIRES),
    raises=(Invalid, TooLarge, Clash, VersionMismatch),
)
async def begin_upload(call: Call) -> Answer:
    """Begin to upload a file; its bytes follow."""
    check_version(call)
    metadata = call.headers.get("upload-metadata", "")
    if len(metadata) > LONGEST_METADATA or not metadata.isprintable():
        raise Invalid(f"Upload-Metadata must be text of at most {LONGEST_METADATA} characters")
    upload = await call.app.uploads.begin(call.caller.organisation, counted(call, "upload-length"), metadata)
    return told(upload, 201, {"location": f"{PATH}/{upload.upload_id}"})


@packages.route(
    "HEAD",
    PATH + "/{upload_id}",
    action="package.import",
    takes=(TUS,),
    gives=(TUS, OFFSET, LENGTH, METADATA, EXPIRES),
    raises=(NotFound, VersionMismatch),
)
async def show_upload(call: Call, upload_id: str) -> Answer:
    """Tell how far an upload has come."""
    check_version(call)
    upload = await call.app.uploads.state(call.caller.organisation, parse_upload_id(upload_id))
    facts = {"upload-length": str(upload.length), "cache-control": "no-store"}
    return told(upload, 200, facts | ({"upload-metadata": upload.metadata} if upload.metadata else {}))


@packages.patch(
    PATH + "/{upload_id}",
    action="package.import",
    status=204,
    appends=False,
    consumes=(OFFSET_STREAM,),
    takes=(TUS, OFFSET),
    gives=(TUS, OFFSET, EXPIRES),
    raises=(Invalid, NotFound, Clash, TooLarge, VersionMismatch),
)
async def continue_upload(call: Call, upload_id: str) -> Answer:
    """Send the next bytes of a file. Whatever came is kept, also when the connection breaks."""
    check_version(call)
    assert call.chunks is not None
    uploads, organisation, identifier = call.app.uploads, call.caller.organisation, parse_upload_id(upload_id)
    arriving = Arriving(call.chunks)
    await uploads.add(organisation, identifier, counted(call, "upload-offset"), arriving.chunks())
    if arriving.problem:
        raise arriving.problem
    return told(await uploads.state(organisation, identifier), 204)


@packages.delete(
    PATH + "/{upload_id}",
    action="package.import",
    status=204,
    appends=False,
    takes=(TUS,),
    gives=(TUS,),
    raises=(NotFound, VersionMismatch),
)
async def drop_upload(call: Call, upload_id: str) -> Answer:
    """Forget an upload."""
    check_version(call)
    await call.app.uploads.drop(call.caller.organisation, parse_upload_id(upload_id))
    return Answer(204, headers={"tus-resumable": VERSION})


class ImportUpload(BaseModel):
    """What is said about a package beside its file."""

    environment: str | None = Field(default=None, min_length=1, max_length=LONGEST_NAME)


@packages.post(
    PATH + "/{upload_id}/import",
    action="package.import",
    answer=CreatedPackage,
    status=201,
    patient=True,
    raises=(NotFound, Clash),
    gives=SHOWN,
)
async def import_upload(call: Call, upload_id: str, body: ImportUpload) -> Answer:
    """Take in the package that a finished upload holds. The upload stays until its time is over, for a repeat."""
    command_key(call, 201)
    content = call.app.uploads.content(call.caller.organisation, parse_upload_id(upload_id))
    return await taken_in(call, await call.app.files.importer.import_stream(content), body.environment)


class Arriving:
    """A body that may break off, which is told only after what came of it was kept."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self.body = body
        self.problem: RollbookError | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """What comes."""
        try:
            async for chunk in self.body:
                yield chunk
        except (CutOff, TooSlow) as problem:
            self.problem = problem


def told(upload: Upload, status: int, more: dict[str, str] | None = None) -> Answer:
    """How far the upload is, in headers."""
    expires = format_datetime(upload.expires_at.astimezone(UTC), usegmt=True)
    facts = {"tus-resumable": VERSION, "upload-offset": str(upload.offset), "upload-expires": expires}
    return Answer(status, headers=facts | (more or {}))


def check_version(call: Call) -> None:
    """412 for a client that speaks another version; one that says nothing is taken to speak this one."""
    if call.headers.get("tus-resumable", VERSION) != VERSION:
        raise VersionMismatch(f"Only version {VERSION} of the protocol tus is spoken here")


def counted(call: Call, name: str) -> int:
    """The number in a header."""
    text = call.headers.get(name, "")
    if not COUNT.fullmatch(text):
        raise Invalid(f"{name.title()} must be a number of bytes")
    return int(text)


def parse_upload_id(text: str) -> UUID:
    """The id; NotFound when it cannot be one."""
    return parse_id(text, "", "Upload")
