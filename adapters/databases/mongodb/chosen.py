"""The ids of documents that are in a package, in a file of this process's own, so that they may be many."""

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from adapters.databases.mongodb.extended import NUMBERS, is_wrapped, key_of
from domain.errors import Unavailable

PAGE = 1000
SCHEMA = """
create table chosen (collection text, key text, id text, rank int, place blob, reason text, round int,
                     primary key (collection, key)) without rowid;
create index by_place on chosen (collection, rank, place, key);
create index by_round on chosen (round, collection, key);
create index by_key on chosen (key);
"""


@contextmanager
def notes(schema: str) -> Iterator[sqlite3.Connection]:
    """A database that is gone afterwards."""
    try:
        with TemporaryDirectory(prefix="rollbook-", ignore_cleanup_errors=True) as folder:
            connection = sqlite3.connect(Path(folder) / "notes", isolation_level=None)
            try:
                connection.executescript(f"pragma journal_mode = off; pragma synchronous = off; {schema}")
                connection.execute("begin")
                yield connection
            finally:
                connection.close()
    except sqlite3.OperationalError as problem:
        raise Unavailable(f"There is no room for notes ({problem.sqlite_errorname})") from None


class Chosen:
    """Ids, each once, with the reason why it is in and the round in which that was found."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def add(self, collection: str, ids: Iterable[Any], reason: str, number: int) -> int:
        """Adds those that are not there; answers how many."""
        before = self.connection.total_changes
        rows = [(collection, key_of(one), orjson.dumps(one), *place_of(one), reason, number) for one in ids]
        self.connection.executemany("insert or ignore into chosen values (?, ?, ?, ?, ?, ?, ?)", rows)
        return self.connection.total_changes - before

    def collections(self) -> list[str]:
        """Those that have documents in the package."""
        return [name for (name,) in self.connection.execute("select distinct collection from chosen order by 1")]

    def reasons(self, collection: str) -> Mapping[str, int]:
        """How many are in for which reason."""
        query = "select reason, count(*) from chosen where collection = ? group by reason order by reason"
        return dict(self.connection.execute(query, [collection]).fetchall())

    def holders(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """Which collections have documents with these keys in the package."""
        query = """select chosen.key, collection from json_each(?) wanted cross join chosen on chosen.key = wanted.value
                    order by collection"""
        found: dict[str, list[str]] = {}
        for key, collection in self.connection.execute(query, [orjson.dumps(keys).decode()]):
            found.setdefault(key, []).append(collection)
        return found

    def pages(self, collection: str) -> Iterator[list[Any]]:
        """The ids of a collection in their order, some at a time."""
        last: tuple[Any, ...] = (-1, b"", "")
        query = """select rank, place, key, id from chosen where collection = ? and (rank, place, key) > (?, ?, ?)
                    order by rank, place, key limit ?"""
        while found := self.connection.execute(query, [collection, *last, PAGE]).fetchall():
            last = found[-1][:3]
            yield [orjson.loads(one) for *_, one in found]

    def round(self, number: int, collection: str) -> Iterator[list[Any]]:
        """The ids that were found in a round, some at a time."""
        last = ""
        query = "select key, id from chosen where round = ? and collection = ? and key > ? order by key limit ?"
        while found := self.connection.execute(query, [number, collection, last, PAGE]).fetchall():
            last = found[-1][0]
            yield [orjson.loads(one) for _, one in found]


def place_of(value: Any) -> tuple[int, bytes]:
    """What orders ids nearly as servers do: by type, then by value."""
    if isinstance(value, str):
        return 2, value.encode(errors="replace")
    if is_wrapped(value):
        name, inner = next(iter(value.items()))
        if name in NUMBERS:
            return 1, number_place(str(inner))
        if name == "$oid":
            return 7, str(inner).encode()
    return 5, orjson.dumps(value)


def number_place(text: str) -> bytes:
    """Bytes in the order of numbers."""
    try:
        (bits,) = struct.unpack(">Q", struct.pack(">d", float(text)))
    except (ValueError, OverflowError):
        bits = 0
    return struct.pack(">Q", bits ^ (2**64 - 1) if bits >> 63 else bits | 1 << 63)
