"""Forgets blobs that nothing refers to: what imports that were refused, narrowed exports and uploads left behind."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from adapters.blobs.store import Blobs
from adapters.packages.manifests import get_manifest
from adapters.packages.mappings import parts_of
from adapters.postgres.pools import Pools, again_when_cut_off
from domain.errors import NotFound

# Longer than any job, any upload and any outage that somebody repairs.
UNUSED = timedelta(days=7)
EVENTS = 100_000
Digests = Iterable[str | None]
MANIFESTS = """
select max(position), array_agg(convert_from(payload, 'UTF8')::json -> 'packed' ->> 'manifest')
                      filter (where topic in ('package.imported', 'package.packing_finished')),
                      array_agg(convert_from(payload, 'UTF8')::json ->> 'kept')
                      filter (where topic = 'data_deployment.deployed')
  from (select position, topic, payload from rollbook.events where position > %s order by position limit %s) page
"""
PIECES = "select digest from rollbook.upload_pieces"


async def sweep_files(files: Blobs, before: datetime) -> int:
    """Forgets files that jobs made before a moment; answers how many. One that is made again counts as new."""
    await files.forget_unfinished(before)
    count = 0
    for digest in [blob.digest async for blob in files.kept_before(before)]:
        if await files.is_older(digest, before):
            await files.delete(digest)
            count += 1
    return count


class Sweeper:
    """Knows what is referred to from the log, which tells it for ever: what a package once held stays, and so do
    the mappings of deployments.

    It remembers how far it has read, so that each round costs only what is new.
    """

    def __init__(self, pools: Pools, store: Blobs) -> None:
        self.pools = pools
        self.store = store
        self.position = 0
        self.manifests: set[str] = set()
        self.parts: set[str] = set()

    async def sweep(self, now: datetime) -> int:
        """Forgets what is old and not referred to; answers how many blobs that were."""
        before = now - UNUSED
        await self.store.forget_unfinished(before)
        found = [blob.digest async for blob in self.store.kept_before(before)]
        kept = await self.referred_to() if found else frozenset()
        count = 0
        for digest in found:
            if digest not in kept and await self.store.is_older(digest, before):
                await self.store.delete(digest)
                count += 1
        return count

    async def referred_to(self) -> frozenset[str]:
        """The digests of all blobs that somebody may still ask for. Nothing is swept when this fails."""
        await self.read_log()
        async with self.pools.projector.connection() as connection:
            pieces = await (await connection.execute(PIECES)).fetchall()
        return frozenset(self.manifests | self.parts | {digest for (digest,) in pieces})

    async def read_log(self) -> None:
        """Learns of the packages and of the deployments that came since."""
        while (page := await again_when_cut_off(self.next_page))[0] is not None:
            await self.learn(page[1], self.of_package)
            await self.learn(page[2], self.of_deployment)
            self.position = page[0]

    async def next_page(self) -> tuple[int | None, Digests, Digests]:
        """How far the next events go, and the manifests and the mappings that are told of there."""
        async with self.pools.projector.connection() as connection:
            row = await (await connection.execute(MANIFESTS, [self.position, EVENTS])).fetchone()
        return (row[0], row[1] or (), row[2] or ()) if row else (None, (), ())

    async def learn(self, digests: Digests, parts: Callable[[str], Awaitable[set[str]]]) -> None:
        """Takes note of blobs that name others, and of these; where they are gone, so are the others."""
        for digest in digests:
            if digest and digest not in self.manifests:
                with suppress(NotFound):
                    self.parts |= await parts(digest)
                self.manifests.add(digest)

    async def of_package(self, manifest: str) -> set[str]:
        """The parts of a package."""
        return {packed.part.blob for packed in (await get_manifest(self.store, manifest)).tables}

    async def of_deployment(self, kept: str) -> set[str]:
        """The parts of a deployment's mapping."""
        return {part.blob for part in (await parts_of(self.store, kept)).values()}
