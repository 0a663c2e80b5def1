"""Packages in memory, for tests that are small."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

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
