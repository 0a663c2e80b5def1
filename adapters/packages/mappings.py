"""Which keys became which in a deployment: a part for each table, and a list of these that events name."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass

import orjson

from adapters.databases.key_lines import Pairs, in_lines, pairs_of
from adapters.packages.manifests import alone, whole
from adapters.packages.parts import read_part, write_part
from application.ports.blobs import BlobStore
from application.ports.databases import Lines, Target
from application.ports.mappings import KeyLines, LinesOf
from domain.errors import NotFound
from domain.manifest import Part


@dataclass(frozen=True, slots=True)
class BlobMappings:
    """See the port: Mappings."""

    store: BlobStore

    async def keep(self, target: Target, deployment_id: str, tables: Iterable[str]) -> str:
        """One table after the other; what is kept of a mapping that could not be read to its end is forgotten later."""
        parts = {}
        async with telling(target, deployment_id) as lines_of:
            for table in tables:
                async with aclosing(ahead(lines_of(table))) as lines:
                    parts[table] = asdict(await write_part(self.store, lines))
        return (await self.store.put(alone(orjson.dumps(parts)))).digest

    async def pairs(self, digest: str, table: str) -> AsyncGenerator[Pairs, None]:
        """Parts are looked into as they come."""
        try:
            part = (await parts_of(self.store, digest))[table]
            async for lines in read_part(self.store, part):
                for line in lines:
                    yield pairs_of(line)
        except NotFound:
            raise NotFound("The mapping of this deployment is gone") from None


@asynccontextmanager
async def telling(target: Target, deployment_id: str) -> AsyncIterator[LinesOf]:
    """The mapping of each table as its target tells it with the least effort."""
    if isinstance(target, KeyLines):
        async with target.key_lines(deployment_id) as lines_of:
            yield lines_of
    else:
        yield lambda table: in_lines(target.keys(deployment_id, table))


async def ahead(batches: AsyncGenerator[Lines, None]) -> AsyncGenerator[Lines, None]:
    """The same batches; each is fetched while the one before it is written."""
    async with aclosing(batches):
        following = asyncio.ensure_future(anext(batches, None))
        try:
            while (found := await following) is not None:
                following = asyncio.ensure_future(anext(batches, None))
                yield found
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def parts_of(store: BlobStore, digest: str) -> dict[str, Part]:
    """The parts of a mapping, by table."""
    found = orjson.loads(await whole(store, digest, "The mapping of this deployment"))
    return {table: Part(**part) for table, part in found.items()}
