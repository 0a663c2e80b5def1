"""Zip files written as a stream, also where they or their members are longer than four gigabytes."""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isal import isal_zlib

RAW = -15
LEVEL = 1
DEFLATED, STORED = 8, 0
# The sizes come behind the bytes; names are UTF-8.
FLAGS = 0x0808
VERSION = 45
FULL = 0xFFFFFFFF


@dataclass(slots=True)
class Member:
    """One file in a zip. `place` is where it begins."""

    name: bytes
    method: int
    place: int
    crc: int = 0
    size: int = 0
    stored: int = 0


class ZipWriter:
    """Writes members one after the other; `written` is how many bytes there are so far."""

    def __init__(self, at: datetime) -> None:
        self.members: list[Member] = []
        self.written = 0
        self.time = at.hour << 11 | at.minute << 5 | at.second // 2
        self.date = (min(max(at.year, 1980), 2107) - 1980) << 9 | at.month << 5 | at.day

    async def member(self, name: str, chunks: AsyncIterator[bytes], method: int = DEFLATED) -> AsyncIterator[bytes]:
        """The bytes of one member."""
        self.members.append(one := Member(name.encode(), method, self.written))
        yield self.counted(self.opening(one))
        compressor = isal_zlib.compressobj(LEVEL, wbits=RAW) if method == DEFLATED else None
        async for chunk in chunks:
            if packed := await asyncio.to_thread(compress, compressor, one, chunk):
                yield self.counted(packed)
        if compressor:
            rest = compressor.flush()
            one.stored += len(rest)
            yield self.counted(rest)
        yield self.counted(struct.pack("<4sLQQ", b"PK\7\x08", one.crc, one.stored, one.size))

    def counted(self, piece: bytes) -> bytes:
        """The piece, which is on its way."""
        self.written += len(piece)
        return piece

    def opening(self, one: Member) -> bytes:
        """The header in front of a member, whose sizes are not known yet."""
        facts = (VERSION, FLAGS, one.method, self.time, self.date, 0, FULL, FULL, len(one.name), 20)
        return struct.pack("<4s5H3L2H", b"PK\3\4", *facts) + one.name + struct.pack("<HHQQ", 1, 16, 0, 0)

    def listed(self, one: Member) -> bytes:
        """A member in the directory."""
        facts = (VERSION, VERSION, FLAGS, one.method, self.time, self.date, one.crc, FULL, FULL, len(one.name), 28)
        head = struct.pack("<4s6H3L5H2L", b"PK\1\2", *facts, 0, 0, 0, 0, FULL)
        return head + one.name + struct.pack("<HHQQQ", 1, 24, one.size, one.stored, one.place)

    def closing(self) -> bytes:
        """The directory and the end."""
        directory = b"".join(map(self.listed, self.members))
        count, start, end = len(self.members), self.written, self.written + len(directory)
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, VERSION, VERSION, 0, 0, count, count, len(directory), start)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
        return directory + record + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *[0xFFFF] * 2, FULL, FULL, 0)


def compress(compressor: Any, one: Member, chunk: bytes) -> bytes:
    """The bytes as they stand in the zip, counted."""
    one.crc = zlib.crc32(chunk, one.crc)
    one.size += len(chunk)
    packed = compressor.compress(chunk) if compressor else chunk
    one.stored += len(packed)
    return packed


async def write_members(at: datetime, members: Sequence[tuple[str, AsyncIterator[bytes], int]]) -> AsyncIterator[bytes]:
    """A whole zip: names, bytes and methods of its members."""
    writer = ZipWriter(at)
    for name, chunks, method in members:
        async for piece in writer.member(name, chunks, method):
            yield piece
    yield writer.closing()
