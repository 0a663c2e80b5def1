"""Takes in a package that somebody sends: a document, a zip or a bundle; everything, or nothing."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import orjson

from adapters.blobs.spool import spooled
from adapters.blobs.store import FolderBlobs, told
from adapters.packages.archives import extract, opened, whole
from adapters.packages.bundle import MANIFEST, Bundle
from adapters.packages.document import checksum
from adapters.packages.files import METADATA
from adapters.packages.json_reading import BLOCK, JsonReader
from adapters.packages.keys import refuse_repeated_keys
from adapters.packages.limits import Limits, limited
from adapters.packages.outline import MEMBERS, Outline, TableOutline, outlined
from adapters.packages.parts import in_thread, write_part
from adapters.packages.rows import Values
from adapters.packages.signing import Trust
from adapters.packages.tables import Described
from adapters.packages.understanding import choice_of, info_of, package_of
from application.ports.blobs import BlobStore
from application.ports.databases import Lines
from domain.errors import Invalid
from domain.manifest import Manifest, PackageInfo, PackedTable

LARGEST_METADATA = 16 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """A package that was taken in; its parts are in the store, its manifest is not.

    `signed_by` is the public key, in base64, whose signature was verified. `around` is what a request says beside
    `package_data`.
    """

    manifest: Manifest
    info: PackageInfo
    signed_by: str | None = None
    around: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Importer:
    """Takes packages into `store`. `folder` is where they lie until they were checked; nothing stays there."""

    store: BlobStore
    folder: Path
    limits: Limits
    trust: Trust = field(default_factory=Trust)

    async def import_stream(self, chunks: AsyncIterator[bytes]) -> Imported:
        """What a stream brings: JSON, perhaps wrapped in a request, a zip, or a bundle; Invalid says what is wrong."""
        with told():
            async with spooled(limited(chunks, self.limits.file), self.folder) as (path, _):
                return await self.import_file(path)

    async def import_file(self, path: Path) -> Imported:
        """What a file holds; the file stays."""
        with told(), temporary(self.folder) as name:
            staged = FolderBlobs.below(Path(name) / "blobs")
            imported = await self.staged(path, staged, Path(name))
            self.trust.check(imported.signed_by)
            await refuse_repeated_keys(imported.manifest, staged, Path(name))
            for packed in imported.manifest.tables:
                await self.store.put(staged.read(packed.part.blob))
        return imported

    async def staged(self, path: Path, staged: FolderBlobs, folder: Path) -> Imported:
        """What a file of whatever kind holds, its parts in a store of its own."""
        if not is_zip(path):
            return await import_document(path, staged)
        with opened(path, self.limits) as archive:
            if MANIFEST in archive.namelist():
                return await self.staged_bundle(archive, staged, path.stat().st_size)
            target = folder / "document.json"
            await asyncio.to_thread(extract_document, archive, target)
            return await import_document(target, staged)

    async def staged_bundle(self, archive: ZipFile, staged: FolderBlobs, size: int) -> Imported:
        """What a bundle holds."""
        bundle = await asyncio.to_thread(Bundle, archive, self.trust)
        await bundle.keep(staged, self.limits, size)
        return Imported(bundle.manifest, bundle.info, bundle.signed_by)


def temporary(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder for what is not checked yet; gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return tempfile.TemporaryDirectory(dir=folder, prefix="import-")


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def extract_document(archive: ZipFile, target: Path) -> None:
    """The one document out of a zip; Invalid when there is another file than that and its metadata."""
    members = {member.filename: member for member in archive.infolist()}
    if about := members.pop(METADATA, None):
        try:
            orjson.loads(whole(archive, about, LARGEST_METADATA))
        except orjson.JSONDecodeError:
            raise Invalid(f"{METADATA} in the zip is not JSON") from None
    if len(members) != 1 or not (name := next(iter(members))).endswith(".json"):
        raise Invalid(f"The zip must hold the package in one .json file, beside {METADATA}")
    extract(archive, members[name], target)


async def import_document(path: Path, store: BlobStore) -> Imported:
    """What a package document holds: first everything but the rows, then those of each table."""
    with path.open("rb") as file:
        outline = await asyncio.to_thread(outlined, file)
    package, described = package_of(outline), Described(outline)
    tables = []
    for name, table, place in described.tables:
        values = Values(described.kind, name, table.columns)
        part = await write_part(store, in_thread(rows_of(path, place, values)))
        tables.append(PackedTable(name, table, part))
    if package.checksum is not None and package.checksum.lower() != checksum_of(outline, tables):
        raise Invalid("The package is damaged, or its data were changed: its checksum differs")
    manifest = Manifest(
        described.kind,
        tuple(tables),
        described.schema_version,
        described.match_keys,
        choice_of(package),
        described.collections,
        described.references,
    )
    return Imported(manifest, info_of(package, manifest), around=outline.around)


def rows_of(path: Path, place: TableOutline, values: Values) -> Iterator[Lines]:
    """The rows of one table as lines, about a megabyte at a time."""
    if place.offset is None:
        return
    waiting, size = list[bytes](), 0
    with path.open("rb") as file:
        for texts in JsonReader(file, place.offset).rows():
            waiting += texts
            size += sum(map(len, texts))
            if size >= BLOCK:
                yield values.lines(waiting)
                waiting, size = [], 0
    if waiting:
        yield values.lines(waiting)


def checksum_of(outline: Outline, tables: list[PackedTable]) -> str:
    """The checksum of the data as the file tells them."""
    tables_key, rows_key = MEMBERS[outline.data_key]
    told = [{**one.described, rows_key: t.part.sha256} for one, t in zip(outline.tables, tables, strict=True)]
    return checksum({**outline.data, tables_key: told})
