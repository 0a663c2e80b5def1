"""Keeps what a source gives as a package: its rows as parts, and what they are as a manifest."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from adapters.blobs.store import Blobs
from adapters.packages.contents import PackedContents, contents_of
from adapters.packages.document import Tally, write_document
from adapters.packages.manifests import get_manifest, put_manifest
from adapters.packages.parts import write_part
from application.ports.blobs import BlobStore
from application.ports.databases import Documents, Lines, Reading, Report
from domain.dataset import DatabaseKind
from domain.manifest import Choice, Manifest, PackageInfo, PackedTable, check, name_of
from domain.packed import Packed


@dataclass(frozen=True, slots=True)
class BlobPackages:
    """See the port: PackageStore."""

    store: Blobs

    async def keep(
        self,
        kind: DatabaseKind,
        reading: Reading,
        info: PackageInfo,
        choice: Choice,
        match_keys: Mapping[str, tuple[str, ...]],
        report: Report,
    ) -> Packed:
        """Reads everything, one table after the other."""
        tables = []
        for table in reading.tables:
            name = name_of(kind, table)
            part = await write_part(self.store, reported(name, reading.rows(name), report))
            tables.append(PackedTable(name, table, part))
        held = {table.name for table in tables}
        matched = {name: columns for name, columns in match_keys.items() if name in held}
        manifest = Manifest(kind, tuple(tables), match_keys=matched, choice=choice)
        if isinstance(reading, Documents):
            references = tuple(reading.references)
            manifest = replace(manifest, collections=dict(reading.collections), references=references)
        return await kept(manifest, info, self.store)

    async def manifest(self, digest: str) -> Manifest:
        """The manifest with this digest."""
        return await get_manifest(self.store, digest)

    def contents(self, manifest: Manifest) -> PackedContents:
        """The rows."""
        return contents_of(manifest, self.store)


async def kept(manifest: Manifest, info: PackageInfo, store: BlobStore) -> Packed:
    """Keeps a manifest whose parts are in the store; answers what events tell of it."""
    check(manifest)
    tally = Tally()
    async for _ in tally.counting(write_document(manifest, info, store)):
        pass
    blob = await put_manifest(store, manifest)
    return Packed(blob.digest, tally.sha256.hexdigest(), tally.size, str(manifest.kind), manifest.records)


async def reported(name: str, batches: AsyncIterator[Lines], report: Report) -> AsyncIterator[Lines]:
    """The same lines, told about."""
    async for lines in batches:
        yield lines
        report(name, len(lines))
