"""Where the contents of packages are kept, and how they come back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

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


@dataclass(frozen=True, slots=True)
class FileWanted:
    """A file of a package. Without tables it holds all of them, of a table without a condition all rows."""

    format: str
    tables: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that was made: what it is called, its size in bytes, its digest, and the rows of each table in it."""

    name: str
    size: int
    sha256: str
    records: Mapping[str, int]


Expect = Callable[[Mapping[str, int]], None]
"""Called with how many rows each table has, or about how many, before the first of them is handled."""


class FileKeeper(Protocol):
    """Keeps files that were made of packages, until somebody has had the time to fetch them."""

    async def keep(
        self, organisation: str, digest: str, info: PackageInfo, wanted: FileWanted, expect: Expect, report: Report
    ) -> KeptFile:
        """Makes a file of the package with this manifest, as a stream; Invalid says what of `wanted` makes no sense.
        Nothing is kept of a file that could not be made."""
        ...
