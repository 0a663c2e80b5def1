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
LARGEST_DIRECTORY = 4 << 20
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
        with told():
            archive = ZipFile(Sparing(file))
        check_members(archive.infolist(), path.stat().st_size, limits)
        yield archive


class Sparing:
    """A file for a ZipFile, which would read the list of members in one, however long the file says that it is."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.file = file

    def read(self, size: int = -1) -> bytes:
        """The next bytes; without a size those to the end, where nothing but the end is looked for."""
        if size > LARGEST_DIRECTORY:
            raise Invalid("The zip has too many files")
        return self.file.read(size)


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
