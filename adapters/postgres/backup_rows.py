"""Reads rows in COPY's binary format, and tells whether the events among them are an unbroken log."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from uuid import UUID

import orjson

from adapters.postgres.backup_archive import BackupRefused
from adapters.postgres.backup_manifest import TABLES

Row = list[bytes | None]
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
LARGEST_FIELD = 16 * 1024 * 1024
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
COLUMNS = TABLES["events"]
NO_HASH = bytes(32)


def rows(stream: BufferedReader, columns: int) -> Iterator[Row]:
    """The rows of one part; BackupRefused when it is not in the format, or has other columns."""
    if stream.read(len(HEADER)) != HEADER:
        raise BackupRefused("A part of the backup is not in the format of COPY")
    expected = columns.to_bytes(2)
    while (count := stream.read(2)) == expected:
        yield [field(stream) for _ in range(columns)]
    if count != END or stream.read(1):
        raise BackupRefused("A part of the backup has rows of another shape")


def field(stream: BufferedReader) -> bytes | None:
    """One value; None is null."""
    size = int.from_bytes(stream.read(4), signed=True)
    if size == -1:
        return None
    value = stream.read(size) if 0 <= size <= LARGEST_FIELD else b""
    if len(value) != size:
        raise BackupRefused("A part of the backup has a value that is cut or too large")
    return value


class Chain:
    """Follows a log from its first event; raises BackupRefused where it is not whole."""

    def __init__(self) -> None:
        self.position = 0
        self.commit_position = 0
        self.ends: dict[bytes, tuple[int, bytes]] = {}

    def add(self, row: Row) -> None:
        """The next event: its place, its hash, and that its columns say what was sealed."""
        if None in row:
            raise self.broken("lacks a value")
        facts = dict(zip(COLUMNS, (value or b"" for value in row), strict=True))
        self.check_place(number(facts["position"]), number(facts["commit_position"]))
        self.check_hash(facts)
        try:
            same = plain(facts) == sealed(facts["envelope"])
        except (ValueError, OverflowError):
            same = False
        if not same:
            raise self.broken("says something else than its sealed envelope")

    def check_place(self, position: int, commit_position: int) -> None:
        """Positions have no gap, and no commit is cut."""
        inside = self.position < self.commit_position
        if position != self.position + 1 or commit_position < position:
            raise self.broken("is out of place")
        if inside and commit_position != self.commit_position:
            raise self.broken("cuts a commit in two")
        self.position, self.commit_position = position, commit_position

    def check_hash(self, facts: dict[str, bytes]) -> None:
        """Each organisation's sequence has no gap, and each hash seals the one before."""
        sequence, before = self.ends.get(facts["organisation"], (0, NO_HASH))
        inner = hashlib.sha256(facts["envelope"]).digest() + hashlib.sha256(facts["payload"]).digest()
        if number(facts["sequence"]) != sequence + 1 or facts["previous_hash"] != before:
            raise self.broken("does not follow the one before it")
        if hashlib.sha256(before + inner).digest() != facts["hash"]:
            raise self.broken("was changed: its hash differs")
        self.ends[facts["organisation"]] = sequence + 1, facts["hash"]

    def end(self) -> None:
        """The last commit is whole."""
        if self.position != self.commit_position:
            raise self.broken("ends inside a commit")

    def broken(self, how: str) -> BackupRefused:
        """What to tell."""
        return BackupRefused(f"The log is broken: the event at or after position {self.position} {how}")


def plain(facts: dict[str, bytes]) -> tuple[object, ...]:
    """What the columns of an event say of it."""
    numbers = (number(facts[name]) for name in ("position", "commit_position", "sequence", "version", "schema_version"))
    moment = POSTGRES_EPOCH + timedelta(microseconds=number(facts["recorded_at"]))
    texts = (facts[name].decode("utf-8", "replace") for name in ("stream_id", "topic", "organisation"))
    return *numbers, f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z", str(UUID(bytes=facts["event_id"])), *texts


def sealed(envelope: bytes) -> tuple[object, ...]:
    """The same out of the envelope, whose bytes are hashed; empty when it has them not."""
    names = ("position", "commit_position", "sequence", "version", "schema_version", "recorded_at", "event_id")
    try:
        said = orjson.loads(envelope)
        return tuple(said[name] for name in (*names, "stream_id", "topic", "organisation"))
    except (ValueError, KeyError, TypeError):
        return ()


def number(value: bytes) -> int:
    """An integer of any width."""
    return int.from_bytes(value, signed=True)
