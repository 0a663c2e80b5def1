"""Zip files that somebody sends: every name, size and byte in them is hostile until it was checked."""

import errno
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from adapters.packages.limits import Limits
from adapters.packages.zip_file import DEFLATED, STORED
from domain.errors import Invalid

BLOCK = 1 << 20
LARGEST_DIRECTORY = 16 << 20
LONGEST_COMMENT = 1 << 16
END, END_BYTES = b"PK\5\6", 22
LOCATOR_BYTES, RECORD_BYTES = 20, 56
ENCRYPTED = 1
DAMAGED = "The zip is damaged"
WRONG = (
    *(BadZipFile, zlib.error, struct.error),
    *(EOFError, NotImplementedError, OverflowError, RuntimeError, ValueError),
)


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[ZipFile]:
    """The zip, once everything that it says about its members is harmless."""
    with path.open("rb") as file:
        check_directory(file)
        with told():
            archive = ZipFile(file)
        check_members(archive.infolist(), path.stat().st_size, limits)
        yield archive


def check_directory(file: BinaryIO) -> None:
    """Invalid when the list of members alone is more than we read."""
    size = file.seek(0, 2)
    tail_at = max(0, size - END_BYTES - LONGEST_COMMENT - LOCATOR_BYTES - RECORD_BYTES)
    file.seek(tail_at)
    tail = file.read()
    found = tail.rfind(END)
    if found < 0 or len(tail) - found < END_BYTES:
        raise Invalid(f"{DAMAGED}: it has no end")
    length = struct.unpack_from("<L", tail, found + 12)[0]
    record = tail.rfind(b"PK\6\6", 0, found)
    if length == 0xFFFFFFFF and record >= 0 and len(tail) - record >= RECORD_BYTES:
        length = struct.unpack_from("<Q", tail, record + 40)[0]
    if length > LARGEST_DIRECTORY:
        raise Invalid("The zip has too many files")
    file.seek(0)


def check_members(members: list[ZipInfo], packed: int, limits: Limits) -> None:
    """Invalid when a member is none that a package has, or when there is too much of them."""
    names = set[str]()
    for member in members:
        check_member(member)
        if member.filename.lower() in names:
            raise Invalid(f"The zip holds '{member.filename[:100]}' twice")
        names.add(member.filename.lower())
    limits.check(sum(member.file_size for member in members), packed)


def check_member(member: ZipInfo) -> None:
    """Invalid for what leads elsewhere, or cannot be read."""
    name = member.filename
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
        raise Invalid(f"The zip holds '{name[:100]}', which is no name of a file in a package")
    if member.orig_filename != name or not name.isprintable():
        raise Invalid("The zip holds a name that cannot be shown")
    mode = member.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        raise Invalid(f"The zip holds '{name[:100]}', which is not a plain file")
    if member.flag_bits & ENCRYPTED:
        raise Invalid(f"'{name[:100]}' in the zip is encrypted")
    if member.compress_type not in (STORED, DEFLATED):
        raise Invalid(f"'{name[:100]}' in the zip is compressed in a way that we do not read")


def blocks(archive: ZipFile, member: ZipInfo) -> Iterator[bytes]:
    """The bytes of a member; never more than it says, and Invalid when they are not what it says."""
    with told(), archive.open(member) as file:
        while block := file.read(BLOCK):
            yield block


def whole(archive: ZipFile, member: ZipInfo, most: int) -> bytes:
    """A small member in one."""
    if member.file_size > most:
        raise Invalid(f"'{member.filename[:100]}' in the zip is larger than {most} bytes")
    return b"".join(blocks(archive, member))


def extract(archive: ZipFile, member: ZipInfo, target: Path) -> None:
    """Writes a member to a file of our own naming."""
    with target.open("xb") as file:
        for block in blocks(archive, member):
            file.write(block)


@contextmanager
def told() -> Iterator[None]:
    """Whatever is wrong inside a zip is a refusal."""
    try:
        yield
    except WRONG as problem:
        raise Invalid(f"{DAMAGED} ({type(problem).__name__})") from None
    except OSError as problem:
        # A place in the file that cannot be.
        if problem.errno != errno.EINVAL:
            raise
        raise Invalid(DAMAGED) from None
