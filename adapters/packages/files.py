"""The files that a package is exported as: the document alone, or in a zip."""

import re
from collections.abc import AsyncGenerator, AsyncIterator

import orjson

from adapters.packages.document import Tally, write_document
from adapters.packages.zip_file import DEFLATED, write_members
from application.ports.blobs import BlobStore
from domain.manifest import Manifest, PackageInfo

LONGEST_NAME = 100
METADATA = "metadata.json"


def file_name(info: PackageInfo, ending: str) -> str:
    """`{name}-v{version}` with an ending, in letters that mean nothing to a file system or a header."""
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", f"{info.name}-v{info.version}").lstrip(".-")
    return f"{name[:LONGEST_NAME]}.{ending}"


async def write_json(manifest: Manifest, info: PackageInfo, store: BlobStore) -> AsyncGenerator[bytes, None]:
    """The package document."""
    async for piece in write_document(manifest, info, store):
        yield piece


async def write_zip(manifest: Manifest, info: PackageInfo, store: BlobStore) -> AsyncGenerator[bytes, None]:
    """A zip with the document and with what is said about it."""
    tally = Tally()
    members = (
        (file_name(info, "json"), tally.counting(write_document(manifest, info, store)), DEFLATED),
        (METADATA, about(manifest, info, tally), DEFLATED),
    )
    async for piece in write_members(info.created_at, members):
        yield piece


async def about(manifest: Manifest, info: PackageInfo, document: Tally) -> AsyncIterator[bytes]:
    """The second file of the zip, known when the first is written."""
    yield orjson.dumps(
        {
            "package_id": info.id,
            "name": info.name,
            "version": info.version,
            "package_type": info.package_type,
            "created_at": info.created_at.isoformat().replace("+00:00", "Z"),
            "created_by": info.created_by,
            "description": info.description,
            "dependencies": list(info.dependencies),
            "database_type": str(manifest.kind),
            "records": manifest.records,
            "total_records": sum(manifest.records.values()),
            "checksum": document.sha256.hexdigest(),
            "filesize": document.size,
            "format_version": manifest.format_version,
        },
        option=orjson.OPT_INDENT_2,
    )
