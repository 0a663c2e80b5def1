"""Packages in memory, for tests that are small; and mappings that are kept."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.blobs.store import FolderBlobs
from adapters.packages.mappings import BlobMappings
from application.ports.databases import Lines
from domain.dataset import Table


@dataclass
class Packed:
    """See the port: Contents."""

    tables: Sequence[Table]
    lines: dict[str, list[Lines]]
    match_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    async def rows(self, table: str) -> AsyncIterator[Lines]:
        """The rows of a table in batches."""
        for lines in self.lines[table]:
            yield lines


async def kept(target: Any, table: str, folder: Path) -> list[tuple[str, str]]:
    """The mapping of deployment 1, from where it is kept."""
    mappings = BlobMappings(FolderBlobs.below(folder))
    digest = await mappings.keep(target, "1", [table])
    return [pair async for batch in mappings.pairs(digest, table) for pair in batch]
