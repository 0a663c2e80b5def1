"""Forgets blobs that nothing refers to: what imports that were refused, narrowed exports and uploads left behind."""

from datetime import datetime, timedelta

from adapters.blobs.store import Blobs
from adapters.packages.manifests import get_manifest
from adapters.postgres.pools import Pools, again_when_cut_off
from domain.errors import NotFound

# Longer than any job, any upload and any outage that somebody repairs.
UNUSED = timedelta(days=7)
EVENTS = 100_000
MANIFESTS = """
select max(position), array_agg(convert_from(payload, 'UTF8')::json -> 'packed' ->> 'manifest')
                      filter (where topic in ('package.imported', 'package.packing_finished'))
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
    """Knows what is referred to from the log, which tells it for ever: what a package once held stays.

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
        """Learns of the packages that came since."""
        while (page := await again_when_cut_off(self.next_page))[0] is not None:
            for digest in page[1] or ():
                if digest and digest not in self.manifests:
                    self.parts |= await self.parts_of(digest)
                    self.manifests.add(digest)
            self.position = page[0]

    async def next_page(self) -> tuple[int | None, list[str | None] | None]:
        """How far the next events go, and the manifests that are told of there."""
        async with self.pools.projector.connection() as connection:
            row = await (await connection.execute(MANIFESTS, [self.position, EVENTS])).fetchone()
        return (row[0], row[1]) if row else (None, None)

    async def parts_of(self, digest: str) -> set[str]:
        """The parts of a package."""
        try:
            manifest = await get_manifest(self.store, digest)
        except NotFound:
            return set()
        return {packed.part.blob for packed in manifest.tables}
