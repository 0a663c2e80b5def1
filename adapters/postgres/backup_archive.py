"""The file that a backup is: a zip with the rows of the truth, and a manifest that vouches for each part."""

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import ValidationError

from adapters.postgres.backup_manifest import FORMAT_VERSION, Manifest, Part

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MANIFEST, MASTER_KEY = "manifest.json", "master.key"
LARGEST_MANIFEST = 64 * 1024 * 1024
FASTEST = 1
BUFFER = 1024 * 1024
ENCRYPTED = 1
# What zipfile raises, depending on the place, where a file was cut or changed.
DAMAGED = (BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError, struct.error)


class BackupRefused(Exception):
    """A backup, or what it should be restored into, is not as it must be; the message is one line that says why."""


class PartWriter:
    """Takes the bytes of one part."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = io.BufferedWriter(stream, BUFFER)
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, block: bytes | bytearray | memoryview) -> None:
        """Adds to the part."""
        self.stream.write(block)
        self.sha256.update(block)
        self.bytes += len(block)

    def part(self, table: str, rows: int, file: str) -> Part:
        """What the manifest says of it, now that it is whole."""
        self.stream.detach()
        facts = {"table": table, "rows": rows, "file": file}
        return Part.model_validate({**facts, "bytes": self.bytes, "sha256": self.sha256.hexdigest()})


class PartReader(io.RawIOBase):
    """Reads a part and refuses its end when it is not what the manifest vouches for."""

    def __init__(self, stream: IO[bytes], part: Part) -> None:
        self.stream = stream
        self.expected = part
        self.sha256 = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """The next bytes; at the end they are compared."""
        place = memoryview(buffer)
        block = self.stream.read(place.nbytes)
        self.sha256.update(block)
        self.count += len(block)
        if self.count > self.expected.bytes or (not block and not self.is_as_expected()):
            raise BackupRefused(f"{self.expected.file} is damaged: its checksum differs")
        place[: len(block)] = block
        return len(block)

    def is_as_expected(self) -> bool:
        """Whether all that was read is what was written."""
        return (self.count, self.sha256.hexdigest()) == (self.expected.bytes, self.expected.sha256)


class Archive:
    """An archive that is read; its manifest is already checked, its parts are while they are read."""

    def __init__(self, zip_file: ZipFile) -> None:
        self.zip_file = zip_file
        if not all(map(is_known, zip_file.infolist())):
            raise BackupRefused("The archive is compressed or encrypted in a way that no backup is")
        self.manifest = read_manifest(zip_file)
        expected = {
            MANIFEST,
            *(part.file for part in self.manifest.parts),
            *(blob.file for blob in self.manifest.blobs),
        }
        expected |= {MASTER_KEY} if self.manifest.key_included else set()
        if sorted(zip_file.namelist()) != sorted(expected):
            raise BackupRefused("The files in the archive are not those of its manifest")

    @contextmanager
    def open(self, part: Part) -> Iterator[io.BufferedReader]:
        """The bytes of one part."""
        with self.zip_file.open(part.file) as stream:
            yield io.BufferedReader(PartReader(stream, part), BUFFER)

    def master_key(self) -> bytes | None:
        """The master key, where whoever took the backup wanted it inside."""
        if not self.manifest.key_included:
            return None
        with self.zip_file.open(MASTER_KEY) as stream:
            return stream.read(1024)


def is_known(info: ZipInfo) -> bool:
    """Whether a file is compressed as a backup's are: all but blobs, most of which are so by themselves."""
    kinds = (ZIP_DEFLATED, ZIP_STORED) if info.filename.startswith("blobs/") else (ZIP_DEFLATED,)
    return info.compress_type in kinds and not info.flag_bits & ENCRYPTED


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Opens a backup; whatever is wrong with the file, also later while it is read, is BackupRefused."""
    try:
        with ZipFile(path) as zip_file:
            yield Archive(zip_file)
    except DAMAGED as problem:
        raise BackupRefused(f"{path} is no whole backup: {problem}") from None
    except OSError as problem:
        raise BackupRefused(f"{path} cannot be read: {problem.strerror or problem}") from None


def read_manifest(zip_file: ZipFile) -> Manifest:
    """The manifest, or BackupRefused."""
    if MANIFEST not in zip_file.namelist():
        raise BackupRefused("This is no backup of Rollbook: it has no manifest")
    with zip_file.open(MANIFEST) as stream:
        text = stream.read(LARGEST_MANIFEST)
    try:
        version = json.loads(text).get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise BackupRefused(f"A newer Rollbook wrote this backup (format {version}): restore it with that one")
        return Manifest.model_validate_json(text)
    except (ValidationError, ValueError, AttributeError, RecursionError):
        raise BackupRefused("The manifest of the backup is damaged, or not Rollbook's") from None


def add_file(zip_file: ZipFile, name: str, content: bytes) -> None:
    """Adds a small file."""
    zip_file.writestr(name, content)


def new_zip(file: BinaryIO) -> ZipFile:
    """An empty archive."""
    return ZipFile(file, "w", ZIP_DEFLATED, compresslevel=FASTEST)
