"""Files of packages: made while somebody reads them, or kept until somebody fetches them."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass

from adapters.blobs.store import Blobs
from adapters.packages.bundle import write_bundle
from adapters.packages.files import file_name, write_json, write_zip
from adapters.packages.keeping import BlobPackages
from adapters.packages.narrowing import Narrowing, narrowed, understood
from adapters.packages.signing import Signer
from adapters.postgres.pools import Pools
from application.ports.blobs import Blob, BlobStore
from application.ports.databases import Report
from application.ports.packages import Expect, FileWanted, KeptFile
from domain.manifest import Manifest, PackageInfo, PackedTable

ZIP, JSON = "application/zip", "application/json"
# How names end, and what the bytes are, by format.
FORMATS = {"zip": ("zip", ZIP), "json": ("json", JSON), "bundle": ("bundle.zip", ZIP)}


@dataclass(frozen=True, slots=True)
class File:
    """A file of a package, of which nothing is written yet."""

    name: str
    manifest: Manifest
    info: PackageInfo
    format: str

    def written(self, store: BlobStore, signer: Signer) -> AsyncGenerator[bytes, None]:
        """Its bytes, the same each time; the parts are read from `store`."""
        if self.format == "bundle":
            return write_bundle(self.manifest, self.info, store, signer)
        return (write_json if self.format == "json" else write_zip)(self.manifest, self.info, store)


@dataclass(frozen=True, slots=True)
class Exporter:
    """See the port: FileKeeper. `files` is where files are kept, apart from the packages themselves."""

    packages: BlobPackages
    files: Blobs
    pools: Pools
    signer: Signer

    async def check(self, organisation: str, digest: str, wanted: FileWanted) -> None:
        """Invalid when what is wanted makes no sense for the package; reads none of its rows."""
        understood(await self.packages.manifest(digest), narrowing_of(wanted), self.pools, organisation)

    async def opened(self, organisation: str, digest: str, info: PackageInfo, wanted: FileWanted) -> File:
        """The file, once it is known that it can be made."""
        whole = await self.packages.manifest(digest)
        manifest = await narrowed(whole, narrowing_of(wanted), self.packages.store, self.pools, organisation)
        return File(file_name(info, FORMATS[wanted.format][0]), manifest, info, wanted.format)

    def written(self, file: File) -> AsyncGenerator[bytes, None]:
        """The bytes of a file."""
        return file.written(self.packages.store, self.signer)

    async def keep(
        self, organisation: str, digest: str, info: PackageInfo, wanted: FileWanted, expect: Expect, report: Report
    ) -> KeptFile:
        """Keeps what is written under the digest of its bytes."""
        file = await self.opened(organisation, digest, info, wanted)
        records = file.manifest.records
        expect(records)
        told = Told(self.packages.store, {one.part.blob: one for one in file.manifest.tables}, report)
        chunks = file.written(told, self.signer)
        try:
            blob = await self.files.put(chunks)
        finally:
            await chunks.aclose()
        return KeptFile(file.name, blob.size, blob.digest, records)


@dataclass(frozen=True, slots=True)
class Told:
    """The store that parts are read from, which reports how many of their rows have gone by."""

    store: BlobStore
    parts: Mapping[str, PackedTable]
    report: Report

    async def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes; of the rows of a part as many are done as of its bytes."""
        packed, size, done = self.parts.get(digest), offset, 0
        async for chunk in self.store.read(digest, offset):
            yield chunk
            size += len(chunk)
            if packed and (rows := packed.part.rows * size // max(1, packed.part.stored) - done) > 0:
                done += rows
                self.report(packed.name, rows)

    async def put(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Keeps bytes."""
        return await self.store.put(chunks)

    async def size(self, digest: str) -> int | None:
        """How many bytes there are."""
        return await self.store.size(digest)

    async def delete(self, digest: str) -> None:
        """Forgets bytes."""
        await self.store.delete(digest)


def narrowing_of(wanted: FileWanted) -> Narrowing:
    """Which rows the file is to hold."""
    return Narrowing(wanted.tables, wanted.where)
