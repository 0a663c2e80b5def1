"""The documents of a package on their way into a target, by their ids, in a file of this process's own."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from adapters.databases.mongodb.extended import key_of, shown

NEW, KNOWN, MET = 0, 1, 2
"""Whether a document is in the target: no; yes, this package brought it; yes, it was met there."""
STAGE = """
create table staged (collection text, key text, line int, source text, target text, target_key text,
                     found int not null default 0, left_out int not null, failed text,
                     primary key (collection, key)) without rowid;
create index by_line on staged (collection, line);
create index by_target on staged (collection, target_key);
create table outside (collection text, key text, target text, is_there int, primary key (collection, key))
    without rowid;
"""
KEYS = "(select value from json_each(?))"
Failure = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one document. `target` is its id there, once it has one."""

    target: Any
    found: int
    left_out: bool
    failed: str | None


class Staged:
    """Documents by collection and key."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def add(self, collection: str, ids: Sequence[tuple[int, Any]], left_out: bool) -> str | None:
        """Adds documents with their lines; answers an id that is there twice."""
        for line, one in ids:
            row = (collection, key_of(one), line, orjson.dumps(one), left_out)
            query = "insert or ignore into staged (collection, key, line, source, left_out) values (?, ?, ?, ?, ?)"
            if not self.connection.execute(query, row).rowcount:
                return shown(one)
        return None

    def states(self, collection: str, keys: Iterable[str]) -> dict[str, State]:
        """What is known of some documents."""
        query = f"select key, target, found, left_out, failed from staged where collection = ? and key in {KEYS}"
        found = self.connection.execute(query, [collection, orjson.dumps(list(keys)).decode()])
        return {
            key: State(orjson.loads(target) if target else None, found, bool(left_out), failed)
            for key, target, found, left_out, failed in found
        }

    def find(self, collection: str, targets: Mapping[str, Any], how: int) -> int:
        """Documents that are in the target, under these ids; answers how many were not known to be."""
        query = """update staged set target = ?, target_key = ?, found = ? where collection = ? and key = ?
                    and found = 0 and failed is null"""
        rows = [(orjson.dumps(one), key_of(one), how, collection, key) for key, one in targets.items()]
        return self.connection.executemany(query, rows).rowcount if rows else 0

    def give(self, collection: str, targets: Mapping[str, Any]) -> None:
        """The ids that new documents get."""
        query = "update staged set target = ?, target_key = ? where collection = ? and key = ?"
        rows = [(orjson.dumps(one), key_of(one), collection, key) for key, one in targets.items()]
        self.connection.executemany(query, rows)

    def fail(self, collection: str, reasons: Mapping[str, str]) -> int:
        """Leaves documents out; answers how many were not left out before."""
        query = "update staged set failed = ? where collection = ? and key = ? and failed is null"
        rows = [(why, collection, key) for key, why in reasons.items()]
        return self.connection.executemany(query, rows).rowcount if rows else 0

    def want(self, collection: str, keys: Iterable[str]) -> int:
        """Documents that were to be left out are needed; answers how many."""
        query = f"update staged set left_out = 0 where collection = ? and left_out and key in {KEYS}"
        return self.connection.execute(query, [collection, orjson.dumps(list(keys)).decode()]).rowcount

    def sources(self, collection: str, after: int, most: int) -> list[tuple[int, str, Any, int]]:
        """Lines with keys, ids and whether they were found, behind a line."""
        query = """select line, key, source, found from staged where collection = ? and line > ? and failed is null
                    order by line limit ?"""
        found = self.connection.execute(query, [collection, after, most]).fetchall()
        return [(line, key, orjson.loads(source), known) for line, key, source, known in found]

    def shared(self, collection: str) -> str | None:
        """An id in the target that several documents would be."""
        query = """select target from staged where collection = ? and target is not null and failed is null
                    group by target_key having count(*) > 1 limit 1"""
        found = self.connection.execute(query, [collection]).fetchone()
        return shown(orjson.loads(found[0])) if found else None

    def existing(self, collection: str, most: int) -> tuple[int, list[str]]:
        """How many documents are in the target, and some of their ids."""
        query = (
            "select source, count(*) over () from staged where collection = ? and found > 0 and not left_out limit ?"
        )
        found = self.connection.execute(query, [collection, most]).fetchall()
        return (found[0][1] if found else 0), [shown(orjson.loads(source)) for source, _ in found]

    def counts(self, collection: str) -> tuple[int, int]:
        """How many documents are new, and how many are there."""
        query = """select count(*) filter (where not found and not left_out), count(*) filter (where found)
                     from staged where collection = ? and failed is null"""
        new, found = self.connection.execute(query, [collection]).fetchone()
        return new, found

    def failures(self, collection: str, most: int) -> tuple[int, tuple[dict[str, Any], ...]]:
        """How many documents were left out because they failed, and the first of them with the reasons."""
        query = """select line, source, failed, count(*) over () from staged where collection = ? and failed is not null
                    order by line limit ?"""
        found = self.connection.execute(query, [collection, most]).fetchall()
        told = tuple({"row": line, "key": shown(orjson.loads(one)), "reason": why} for line, one, why, _ in found)
        return (found[0][3] if found else 0), told

    def pairs(self, collection: str, most: int, only_found: bool = False) -> dict[str, str]:
        """Some of the ids, each with its id in the target, as people write them."""
        query = """select source, target from staged where collection = ? and failed is null and target is not null
                    and (found or not (left_out or ?)) order by line limit ?"""
        found = self.connection.execute(query, [collection, only_found, most])
        return {shown(orjson.loads(source)): shown(orjson.loads(target)) for source, target in found}

    def outside(self, collection: str, keys: Iterable[str]) -> dict[str, tuple[Any, bool]]:
        """What was found out of documents outside the package: their id in the target, whether they are there."""
        query = f"select key, target, is_there from outside where collection = ? and key in {KEYS}"
        found = self.connection.execute(query, [collection, orjson.dumps(list(keys)).decode()])
        return {key: (orjson.loads(target) if target else None, bool(there)) for key, target, there in found}

    def note_outside(self, collection: str, found: Mapping[str, tuple[Any, bool]]) -> None:
        """Keeps what was found out."""
        rows = [(collection, key, orjson.dumps(one) if there else None, there) for key, (one, there) in found.items()]
        self.connection.executemany("insert or replace into outside values (?, ?, ?, ?)", rows)
