"""The rows of one table as a blob: lines of JSON, compressed, written and read as a stream."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from isal import igzip_lib, isal_zlib

from application.ports.blobs import BlobStore
from application.ports.databases import Lines
from domain.errors import Invalid
from domain.manifest import Part

# Level 1 of ISA-L: three times as fast as zlib's, and smaller.
LEVEL = 1
GZIP = 31
BATCH = 1 << 18
T = TypeVar("T")
DAMAGED = "A part of the package is damaged: its checksum differs"


async def in_thread(batches: Iterator[T]) -> AsyncIterator[T]:
    """The same batches, made beside the event loop."""
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        yield batch


class PartWriter:
    """Compresses lines and counts them."""

    def __init__(self) -> None:
        self.compressor = isal_zlib.compressobj(LEVEL, wbits=GZIP)
        self.sha256 = hashlib.sha256()
        self.rows = self.bytes = 0

    def write(self, lines: Lines) -> bytes:
        """The compressed bytes that are ready."""
        text = b"\n".join(lines) + b"\n"
        if text.count(b"\n") != len(lines):
            raise Invalid("A row of a package is more than one line")
        self.sha256.update(text)
        self.rows += len(lines)
        self.bytes += len(text)
        return self.compressor.compress(text)


async def write_part(store: BlobStore, batches: AsyncIterator[Lines]) -> Part:
    """Puts lines into the store; nothing is kept when `batches` raises."""
    writer = PartWriter()

    async def compressed() -> AsyncIterator[bytes]:
        async for lines in batches:
            if lines:
                yield await asyncio.to_thread(writer.write, lines)
        yield writer.compressor.flush()

    blob = await store.put(compressed())
    return Part(blob.digest, blob.size, writer.rows, writer.bytes, writer.sha256.hexdigest())


class PartReader:
    """Takes compressed bytes apart into lines, and compares the whole with what was written."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.decompressor = isal_zlib.decompressobj(wbits=GZIP)
        self.sha256 = hashlib.sha256()
        self.bytes = self.rows = 0
        self.pending = bytearray()

    def read(self, chunk: bytes) -> Iterator[Lines]:
        """The lines that are whole, about a quarter of a megabyte at a time; never more bytes than the part has."""
        text = b""
        while (chunk or len(text) == BATCH) and not self.decompressor.eof:
            text = self.decompressed(chunk)
            chunk = self.decompressor.unconsumed_tail
            if lines := self.lines(text):
                yield lines
        if chunk or self.decompressor.unused_data:
            raise Invalid(DAMAGED)

    def decompressed(self, chunk: bytes) -> bytes:
        """The next bytes of the lines."""
        try:
            text: bytes = self.decompressor.decompress(chunk, BATCH)
        except igzip_lib.IsalError:  # type: ignore[misc]  # its stub calls it a value
            raise Invalid(DAMAGED) from None
        self.sha256.update(text)
        self.bytes += len(text)
        if self.bytes > self.part.bytes:
            raise Invalid(DAMAGED)
        return text

    def lines(self, text: bytes) -> Lines:
        """The whole lines up to here."""
        whole, end, rest = text.rpartition(b"\n")
        if not end:
            self.pending += text
            return []
        found = (bytes(self.pending) + whole).split(b"\n")
        self.pending = bytearray(rest)
        self.rows += len(found)
        return found

    def finish(self) -> None:
        """Invalid unless everything was there, and as it was written."""
        read = (self.rows, self.bytes, self.sha256.hexdigest())
        if self.pending or not self.decompressor.eof or read != (self.part.rows, self.part.bytes, self.part.sha256):
            raise Invalid(DAMAGED)


async def read_part(store: BlobStore, part: Part) -> AsyncIterator[Lines]:
    """The lines in batches. A damaged part is found at its end at the latest: Invalid, after which nothing of it may
    have been believed."""
    reader = PartReader(part)
    async for chunk in store.read(part.blob):
        async for lines in in_thread(reader.read(chunk)):
            yield lines
    reader.finish()


async def read_page(store: BlobStore, part: Part, offset: int, limit: int) -> list[bytes]:
    """Some lines out of the middle; what is behind them is not looked at."""
    found, passed = list[bytes](), 0
    if offset >= part.rows or limit <= 0:
        return []
    async for lines in read_part(store, part):
        found += lines[max(0, offset - passed) : offset + limit - passed]
        passed += len(lines)
        if len(found) >= min(limit, part.rows - offset):
            return found
    return found
