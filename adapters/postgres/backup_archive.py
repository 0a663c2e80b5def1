"""The file that a backup is: a zip with the rows of the truth, and a manifest that vouches for each part."""

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, BinaryIO, Literal, Self
from uuid import UUID
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MANIFEST, MASTER_KEY = "manifest.json", "master.key"
LARGEST_MANIFEST = 1024 * 1024
FASTEST = 1
BUFFER = 1024 * 1024
ENCRYPTED = 1
# What zipfile raises, depending on the place, where a file was cut or changed.
DAMAGED = (BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError, struct.error)

# What is copied, in the order in which it is restored. Snapshots and read models follow from the log.
TABLES: Mapping[str, tuple[str, ...]] = {
    "events": (
        *("position", "commit_position", "event_id", "stream_id", "version", "topic", "schema_version"),
        *("organisation", "sequence", "recorded_at", "envelope", "payload", "previous_hash", "hash"),
    ),
    "taken_keys": ("organisation", "key", "stream_id"),
    "commands": ("command_id", "request_digest", "status", "resource", "position", "recorded_at"),
    "organisations": ("organisation", "owner_id", "wrapped_key"),
    "people": ("organisation", "actor_id", "fingerprint", "wrapped_key", "sealed_login"),
    "leases": ("deployment_id", "organisation", "fence", "expires_at"),
    "erasures": ("organisation", "actor_id", "erased_at"),
}
# A forged number beyond this would leave no room for the epochs to come.
LAST_EPOCH = 2**30
Count = Annotated[int, Field(ge=0, lt=2**63)]


class BackupRefused(Exception):
    """A backup, or what it should be restored into, is not as it must be; the message is one line that says why."""


class Part(BaseModel):
    """One file in the archive: rows of one table, in the binary format of COPY."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}\.copy$")]
    table: Literal["events", "taken_keys", "commands", "organisations", "people", "leases", "erasures"]
    rows: Count
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """What a backup holds. `key_id` tells master keys apart without telling the key; None: it was not known.

    `blobs` is the place of what events refer to by digest. There is none in this format: an archive that names one
    is of a later format, and refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["rollbook backup"] = "rollbook backup"
    format_version: Literal[1] = 1
    rollbook: Annotated[str, Field(max_length=100)]
    store_id: UUID
    epoch: Annotated[int, Field(ge=1, le=LAST_EPOCH)]
    last_position: Count
    last_recorded_at: datetime | None
    taken_at: datetime
    key_id: Annotated[str | None, Field(pattern=r"^[0-9a-f]{32}$")]
    key_included: bool
    parts: list[Part]
    blobs: tuple[()] = ()

    @model_validator(mode="after")
    def complete(self) -> Self:
        """Every table is there, each file once, and as many events as positions."""
        if {part.table for part in self.parts} != TABLES.keys():
            raise ValueError("a table is missing")
        if len({part.file for part in self.parts}) != len(self.parts):
            raise ValueError("a file is named twice")
        if sum(part.rows for part in self.parts if part.table == "events") != self.last_position:
            raise ValueError("there are not as many events as positions")
        return self

    @property
    def rows(self) -> int:
        """How many rows there are in all parts."""
        return sum(part.rows for part in self.parts)

    def encoded(self) -> bytes:
        """The bytes that stand in the archive."""
        return self.model_dump_json(indent=2).encode()

    @property
    def digest(self) -> str:
        """Names the whole content of the backup: whoever keeps it apart can tell a forged one."""
        return hashlib.sha256(self.encoded()).hexdigest()


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
        if any(info.compress_type != ZIP_DEFLATED or info.flag_bits & ENCRYPTED for info in zip_file.infolist()):
            raise BackupRefused("The archive is compressed or encrypted in a way that no backup is")
        self.manifest = read_manifest(zip_file)
        expected = {MANIFEST, *(part.file for part in self.manifest.parts)}
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
        if isinstance(version, int) and version > 1:
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
