"""What a package holds, read from the store of blobs."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from adapters.packages.parts import read_part
from application.ports.blobs import BlobStore
from application.ports.databases import Lines
from domain.dataset import Table
from domain.manifest import Collection, DocumentReference, Manifest


@dataclass(slots=True)
class PackedContents:
    """See the port of databases: Contents."""

    manifest: Manifest
    store: BlobStore
    tables: Sequence[Table]
    match_keys: Mapping[str, tuple[str, ...]]
    collections: Mapping[str, Collection]
    references: Sequence[DocumentReference]

    def rows(self, table: str) -> AsyncIterator[Lines]:
        """The rows of a table, checked against the manifest as they are read."""
        return read_part(self.store, self.manifest.packed(table).part)

    def digest(self, table: str) -> tuple[str, int]:
        """What the lines of a table are, as the manifest has it."""
        part = self.manifest.packed(table).part
        return part.sha256, part.rows


def contents_of(manifest: Manifest, store: BlobStore) -> PackedContents:
    """What a manifest describes."""
    tables = [packed.table for packed in manifest.tables]
    return PackedContents(manifest, store, tables, manifest.match_keys, manifest.collections, manifest.references)
