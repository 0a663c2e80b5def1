"""The package document: one JSON object with everything, written as a stream, however large."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import orjson

from adapters.packages.describing import Json, of_data, of_package, of_table
from adapters.packages.parts import read_page, read_part
from adapters.packages.rows import Rows
from application.ports.blobs import BlobStore
from domain.dataset import DatabaseKind
from domain.manifest import Manifest, PackageInfo, PackedTable

INLINE = 1000
NOTHING = -1


class Document:
    """What a document's members are called, and what they hold beside the rows."""

    def __init__(self, manifest: Manifest, info: PackageInfo) -> None:
        self.manifest = manifest
        documents = manifest.kind is DatabaseKind.MONGODB
        self.data, self.tables, self.rows = (
            ("document_data", "collections", "documents") if documents else ("database_data", "tables", "rows")
        )
        self.package = of_package(info, manifest)
        self.described: Json = of_data(manifest)

    def table(self, packed: PackedTable) -> Json:
        """A table without its rows."""
        return of_table(self.manifest, packed)


async def write_document(manifest: Manifest, info: PackageInfo, store: BlobStore) -> AsyncGenerator[bytes, None]:
    """The document, about a megabyte at a time, its checksum at the end."""
    document, digests = Document(manifest, info), list[str]()
    yield b"%s,%s:%s,%s:[" % (
        opened(document.package),
        orjson.dumps(document.data),
        opened(document.described),
        orjson.dumps(document.tables),
    )
    for number, packed in enumerate(manifest.tables):
        yield b"%s%s,%s:[" % (b"," if number else b"", opened(document.table(packed)), orjson.dumps(document.rows))
        rows = Rows(manifest.kind, packed.table)
        async for piece in written(store, packed, rows):
            yield piece
        yield b"]}"
        digests.append(rows.sha256.hexdigest())
    yield b']},"checksum":"%s"}\n' % checksum_of(document, digests).encode()


async def written(store: BlobStore, packed: PackedTable, rows: Rows) -> AsyncIterator[bytes]:
    """The rows of one table with commas between them."""
    comma = b""
    async for lines in read_part(store, packed.part):
        yield comma + await asyncio.to_thread(rows.written, lines)
        comma = b","


def opened(value: Json) -> bytes:
    """A JSON object to which members can be added, of which it has some."""
    return orjson.dumps(value)[:-1]


def checksum_of(document: Document, digests: list[str]) -> str:
    """The checksum of the data; see `checksum`."""
    tables = [
        {**document.table(packed), document.rows: digest}
        for packed, digest in zip(document.manifest.tables, digests, strict=True)
    ]
    return checksum({**document.described, document.tables: tables})


def checksum(data: Any) -> str:
    """SHA-256 of the data in small: members in order of their names, without blanks, and in the place of the rows of
    each table the SHA-256 of its lines. It does not change when somebody formats the file anew."""
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Tally:
    """SHA-256 and size of a file that is being written."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0

    async def counting(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same bytes, counted."""
        async for chunk in chunks:
            await asyncio.to_thread(self.sha256.update, chunk)
            self.size += len(chunk)
            yield chunk


async def shown(
    manifest: Manifest, info: PackageInfo, store: BlobStore, link: Callable[[str], str], most: int = INLINE
) -> Json:
    """The document as an answer shows it: of a table with more than `most` rows, only how many, and where they are."""
    document = Document(manifest, info)
    tables = [await shown_table(document, packed, store, link, most) for packed in manifest.tables]
    return {**document.package, document.data: {**document.described, document.tables: tables}}


async def shown_table(
    document: Document, packed: PackedTable, store: BlobStore, link: Callable[[str], str], most: int
) -> Json:
    """One table with its rows or with a link to them."""
    if packed.part.rows > most:
        return {**document.table(packed), "data_url": link(packed.name)}
    return {**document.table(packed), document.rows: await page(document.manifest, packed.name, store, 0, INLINE)}


async def page(manifest: Manifest, name: str, store: BlobStore, offset: int, limit: int) -> list[Any]:
    """Some rows of a table as objects; Invalid when the package has no such table."""
    packed = manifest.packed(name)
    return Rows(manifest.kind, packed.table).loaded(await read_page(store, packed.part, offset, limit))
