"""Which keys became which in a deployment: a part for each table, and a list of these that events name."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass

import orjson

from adapters.packages.manifests import alone, whole
from adapters.packages.parts import read_part, write_part
from application.ports.blobs import BlobStore
from application.ports.databases import Lines, Target
from domain.errors import NotFound
from domain.manifest import Part

Pairs = Sequence[tuple[str, str]]
PAIRS_OF_A_LINE = 5000


@dataclass(frozen=True, slots=True)
class BlobMappings:
    """See the port: Mappings. A line of a part is an array of pairs."""

    store: BlobStore

    async def keep(self, target: Target, deployment_id: str, tables: Iterable[str]) -> str:
        """One table after the other; what is kept of a mapping that could not be read to its end is forgotten later."""
        parts = {}
        for table in tables:
            async with aclosing(target.keys(deployment_id, table)) as batches:
                parts[table] = asdict(await write_part(self.store, in_lines(batches)))
        return (await self.store.put(alone(orjson.dumps(parts)))).digest

    async def pairs(self, digest: str, table: str) -> AsyncGenerator[Pairs, None]:
        """Parts are looked into as they come."""
        try:
            part = (await parts_of(self.store, digest))[table]
            async for lines in read_part(self.store, part):
                for line in lines:
                    yield [(source, target) for source, target in orjson.loads(line)]
        except NotFound:
            raise NotFound("The mapping of this deployment is gone") from None


async def parts_of(store: BlobStore, digest: str) -> dict[str, Part]:
    """The parts of a mapping, by table."""
    found = orjson.loads(await whole(store, digest, "The mapping of this deployment"))
    return {table: Part(**part) for table, part in found.items()}


async def in_lines(batches: AsyncIterator[Pairs]) -> AsyncIterator[Lines]:
    """Very many pairs a line: so most of them cost no step of ours."""
    pending: list[tuple[str, str]] = []
    async for batch in batches:
        pending += batch
        if len(pending) >= PAIRS_OF_A_LINE:
            yield [orjson.dumps(pending)]
            pending.clear()
    if pending:
        yield [orjson.dumps(pending)]
