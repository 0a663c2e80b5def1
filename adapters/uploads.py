"""Files that come piece by piece, over as many requests as it takes: their state in Postgres, their bytes as blobs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from adapters.package_settings import PackageSettings
from adapters.postgres.pools import Pools, again_when_cut_off
from application.ports.blobs import Blob, BlobStore
from domain.errors import Clash, NotFound, TooLarge

# What is lost at most when a process dies while a piece comes.
PIECE = 64 << 20
MOST_PIECES = 20_000
MOST_UPLOADS = 100
BEGIN = """
insert into rollbook.uploads (upload_id, organisation, length, metadata, expires_at)
select %(id)s, %(organisation)s, %(length)s, %(metadata)s, clock_timestamp() + %(life)s
 where (select count(*) from rollbook.uploads where expires_at > clock_timestamp()) < %(most)s
    on conflict (upload_id) do update set length = excluded.length
returning expires_at
"""
STATE = """
select u.length, coalesce(sum(p.size), 0)::bigint, count(p.place), u.metadata, u.expires_at
  from rollbook.uploads u left join rollbook.upload_pieces p using (upload_id)
 where u.upload_id = %s and u.expires_at > clock_timestamp()
 group by u.upload_id
"""
ADD = """
insert into rollbook.upload_pieces (upload_id, place, organisation, digest, size)
select %(id)s, %(place)s, %(organisation)s, %(digest)s, %(size)s
 where %(place)s = (select coalesce(sum(size), 0) from rollbook.upload_pieces where upload_id = %(id)s)
returning place
"""
ELSEWHERE = "The upload is at another place: ask where, and go on from there"


@dataclass(frozen=True, slots=True)
class Upload:
    """How far an upload has come."""

    upload_id: UUID
    length: int
    offset: int
    pieces: int
    metadata: str
    expires_at: datetime


class Uploads:
    """Uploads of all organisations, each to be seen by its own alone."""

    def __init__(self, pools: Pools, store: BlobStore, largest: int, life: timedelta) -> None:
        self.pools = pools
        self.store = store
        self.largest = largest
        self.life = life

    async def begin(self, organisation: str, length: int, metadata: str) -> Upload:
        """Makes room for a file of this length."""
        if length > self.largest:
            raise TooLarge(f"An upload has at most {self.largest} bytes")
        upload_id = uuid4()
        facts = {"id": upload_id, "organisation": organisation, "length": length, "metadata": metadata}
        rows = await self.write(organisation, BEGIN, {**facts, "life": self.life, "most": MOST_UPLOADS})
        if not rows:
            raise Clash(f"There are {MOST_UPLOADS} uploads already: finish or delete some")
        return Upload(upload_id, length, 0, 0, metadata, rows[0][0])

    async def state(self, organisation: str, upload_id: UUID) -> Upload:
        """How far an upload has come; NotFound when there is none, or none any more."""
        rows = await self.read(organisation, STATE, [upload_id])
        if not rows:
            raise NotFound("Upload not found")
        return Upload(upload_id, *rows[0])

    async def add(self, organisation: str, upload_id: UUID, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Adds what comes behind `offset`, and answers where the upload is then. What came before `chunks` fails is
        kept. Clash when the upload is not at `offset`, TooLarge when more comes than was told."""
        upload = await self.state(organisation, upload_id)
        if upload.offset != offset:
            raise Clash(ELSEWHERE)
        cut, pieces = Cut(chunks), upload.pieces
        while not cut.ended and offset < upload.length:
            blob = await self.store.put(cut.piece(min(PIECE, upload.length - offset)))
            if blob.size:
                await self.keep(organisation, upload_id, offset, blob)
                offset, pieces = offset + blob.size, pieces + 1
            if pieces >= MOST_PIECES and offset < upload.length:
                raise Clash("The upload comes in too many pieces")
        if await cut.goes_on():
            raise TooLarge(f"The upload was to have {upload.length} bytes, and more come")
        return offset

    async def keep(self, organisation: str, upload_id: UUID, place: int, blob: Blob) -> None:
        """Adds a piece, unless somebody else did."""
        facts = {"id": upload_id, "organisation": organisation, "place": place}
        try:
            rows = await self.write(organisation, ADD, {**facts, "digest": blob.digest, "size": blob.size})
        except psycopg.errors.UniqueViolation:
            rows = []
        except psycopg.errors.ForeignKeyViolation:
            raise NotFound("Upload not found") from None
        if not rows:
            raise Clash(ELSEWHERE)

    async def content(self, organisation: str, upload_id: UUID) -> AsyncIterator[bytes]:
        """The whole file; Clash while it is not there yet."""
        upload = await self.state(organisation, upload_id)
        if upload.offset < upload.length:
            raise Clash(f"The upload is not complete: {upload.offset} of {upload.length} bytes are there")
        query = "select digest from rollbook.upload_pieces where upload_id = %s order by place"
        for (digest,) in await self.read(organisation, query, [upload_id]):
            async for chunk in self.store.read(digest):
                yield chunk

    async def drop(self, organisation: str, upload_id: UUID) -> None:
        """Forgets an upload; its bytes go when blobs are swept."""
        query = "delete from rollbook.uploads where upload_id = %s returning 1"
        if not await self.write(organisation, query, [upload_id]):
            raise NotFound("Upload not found")

    async def expire(self) -> int:
        """Forgets all uploads whose time is over."""
        query = "select organisation, upload_id from rollbook.uploads where expires_at <= clock_timestamp() limit 1000"
        async with self.pools.projector.connection() as connection:
            rows = await (await connection.execute(query)).fetchall()
        for organisation, upload_id in rows:
            await self.write(organisation, "delete from rollbook.uploads where upload_id = %s returning 1", [upload_id])
        return len(rows)

    async def read(self, organisation: str, query: str, values: Any) -> list[Any]:
        """Asks as this organisation, and as one that sees what it just wrote."""
        return await self.write(organisation, query, values)

    async def write(self, organisation: str, query: str, values: Any) -> list[Any]:
        """Runs a statement of ours as this organisation. One that is cut off may have been done: it is not repeated
        with effect, for places and ids are taken once."""

        async def run() -> list[Any]:
            async with self.pools.writing(organisation) as connection:
                rows: list[Any] = await (await connection.execute(query.encode(), values)).fetchall()
                return rows

        return await again_when_cut_off(run)


def uploads_of(settings: PackageSettings, pools: Pools, store: BlobStore) -> Uploads:
    """Uploads, as large as the settings let them be and for as long."""
    return Uploads(pools, store, settings.max_upload_bytes, timedelta(hours=settings.upload_hours))


class Cut:
    """Cuts a stream into pieces."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.chunks = chunks
        self.rest = b""
        self.ended = False

    async def piece(self, most: int) -> AsyncIterator[bytes]:
        """The next bytes, as many as that."""
        while most and await self.goes_on():
            found, self.rest = self.rest[:most], self.rest[most:]
            most -= len(found)
            yield found

    async def goes_on(self) -> bool:
        """Whether there is more; waits until that is known."""
        while not self.rest and not self.ended:
            try:
                self.rest = await anext(self.chunks)
            except StopAsyncIteration:
                self.ended = True
        return bool(self.rest)
