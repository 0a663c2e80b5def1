"""Where the contents of packages are kept, and how they come back."""

from collections.abc import Mapping
from typing import Protocol

from application.ports.databases import Contents, Reading, Report
from domain.dataset import DatabaseKind
from domain.manifest import Choice, Manifest, PackageInfo
from domain.packed import Packed


class PackageStore(Protocol):
    """Keeps packages as blobs: a part for each table, and a manifest that names them."""

    async def keep(
        self,
        kind: DatabaseKind,
        reading: Reading,
        info: PackageInfo,
        choice: Choice,
        match_keys: Mapping[str, tuple[str, ...]],
        report: Report,
    ) -> Packed:
        """Reads everything as a stream and keeps it; what is kept of a reading that fails is forgotten later."""
        ...

    async def manifest(self, digest: str) -> Manifest:
        """The manifest with this digest; NotFound when it is gone, Invalid when it is damaged."""
        ...

    def contents(self, manifest: Manifest) -> Contents:
        """The rows, to be read as often as needed; reading raises Invalid where a part is damaged."""
        ...
